-- users: how many channels each identity has in a room, and when it was last
-- there, where that is asked for.

-- max_last_seen bounds how many are remembered of a room: the newest.
local max_last_seen = 10000

local function tally(room, record, by)
  local identity = identity_of(record)
  room.n = room.n + by
  if identity == '' then
    room.anonymous = room.anonymous + by
    return
  end
  if not room.delta[identity] then
    room.delta[identity] = 0
    room.touched[#room.touched + 1] = identity
  end
  room.delta[identity] = room.delta[identity] + by
end

-- remember notes when users went, for a while (ms).
local function remember(room, went, keep)
  local seen = {}
  for _, user in ipairs(went) do
    seen[#seen + 1] = now_ms
    seen[#seen + 1] = user
  end
  redis.call('ZADD', room.seen_key, unpack(seen))
  redis.call('ZREMRANGEBYSCORE', room.seen_key, '-inf', string.format('(%.0f', now_us / 1000 - keep))
  redis.call('ZREMRANGEBYRANK', room.seen_key, 0, -1 - max_last_seen)
  redis.call('PEXPIRE', room.seen_key, keep)
end

-- count_users applies the net difference of each identity, says who came or
-- went, and returns those who went.
local function count_users(room)
  local set, went = {}, {}
  if #room.touched == 0 then return went end
  local counts = redis.call('HMGET', room.users_key, unpack(room.touched))
  for i, user in ipairs(room.touched) do
    local before = tonumber(counts[i] or 0)
    local after = before + room.delta[user]
    if after <= 0 and before > 0 then
      went[#went + 1] = user
      room.users = room.users - 1
      room.items[#room.items + 1] = '<' .. netstring(user)
    elseif after > 0 and after ~= before then
      set[#set + 1] = user
      set[#set + 1] = after
      if before == 0 then
        room.users = room.users + 1
        room.items[#room.items + 1] = '>' .. netstring(user)
      end
    end
  end
  if #set > 0 then redis.call('HSET', room.users_key, unpack(set)) end
  if #went > 0 then redis.call('HDEL', room.users_key, unpack(went)) end
  return went
end
