-- commit: writes what change gathered for a room, and publishes it as one event.

local born, filled, emptied = {}, {}, {}

-- count_users applies the net difference of each user and says who came or went.
local function count_users(room)
  if #room.touched == 0 then return end
  local counts = redis.call('HMGET', room.users_key, unpack(room.touched))
  local set, gone = {}, {}
  for i, user in ipairs(room.touched) do
    local before = tonumber(counts[i] or 0)
    local after = before + room.delta[user]
    if after <= 0 and before > 0 then
      gone[#gone + 1] = user
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
  if #gone > 0 then redis.call('HDEL', room.users_key, unpack(gone)) end
  if #set > 0 then redis.call('HSET', room.users_key, unpack(set)) end
end

-- commit_room returns the event, or '' where nothing changed.
local function commit_room(room, publish)
  if #room.items == 0 then return '' end
  count_users(room)
  local previous = room.revision
  room.revision = math.max(previous + 1, now_us)
  if not room.exists then
    room.birth = string.format('%.0f', now_us)
    born[#born + 1] = room.name
  elseif room.before == 0 and room.n > 0 then
    filled[#filled + 1] = room.name
  elseif room.before > 0 and room.n == 0 then
    emptied[#emptied + 1] = now_ms
    emptied[#emptied + 1] = room.name
  end
  local counts = ' ' .. room.birth .. ' ' .. room.n .. ' ' .. room.users .. ' ' .. room.anonymous
  local revision = string.format('%.0f', room.revision)
  room.put[2] = revision .. counts
  if #room.drop > 0 then redis.call('HDEL', room.key, unpack(room.drop)) end
  redis.call('HSET', room.key, unpack(room.put))
  local event = '\1C' .. revision .. ' ' .. string.format('%.0f', previous) .. counts .. '\n' .. table.concat(room.items)
  redis.call(publish, room.key, event)
  return event
end

-- commit_rooms keeps the registry of rooms, and of those without presences.
local function commit_rooms(rooms_key, empty_key)
  if #born > 0 then redis.call('SADD', rooms_key, unpack(born)) end
  if #filled > 0 then redis.call('ZREM', empty_key, unpack(filled)) end
  if #emptied > 0 then redis.call('ZADD', empty_key, unpack(emptied)) end
end
