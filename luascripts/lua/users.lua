-- users: how many channels each identity has in a room.

local function tally(record, by)
  local identity = identity_of(record)
  presences = presences + by
  if identity == '' then
    anonymous = anonymous + by
    return
  end
  local so_far = delta[identity]
  if not so_far then
    n_touched = n_touched + 1
    touched[n_touched] = identity
  end
  delta[identity] = (so_far or 0) + by
end

-- count_users applies the net difference of each identity.
local function count_users()
  gone.n, went.n = 0, 0
  if n_touched == 1 then
    local user, by = touched[1], delta[touched[1]]
    if by ~= 0 then
      local is = call('HINCRBY', users_key, user, text(by))
      judge(user, is - by, is)
    end
  elseif n_touched > 1 then
    local counts, set, n = call('HMGET', users_key, unpack(touched, 1, n_touched)), {}, 0
    for i = 1, n_touched do
      local user, was = touched[i], (counts[i] or 0) + 0
      local is = was + delta[user]
      if is ~= was then
        if is > 0 then
          set[n + 1], set[n + 2] = user, text(is)
          n = n + 2
        end
        judge(user, was, is)
      end
    end
    run('HSET', users_key, set, n)
  end
  run('HDEL', users_key, gone, gone.n)
end
