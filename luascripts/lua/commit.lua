-- commit: writes what change gathered for a room, and publishes it as one event.
--
-- To each key it adds before it removes: one that a script empties while its slot
-- is on its way to another master, it cannot make again.

local born, filled, emptied = {}, {}, {}

-- commit_room returns the event, or '' where nothing changed. Where users are to
-- be remembered after they went, keep says for how long (ms).
local function commit_room(room, publish, keep)
  if #room.quiet > 0 then redis.call('HSET', room.key, unpack(room.quiet)) end
  if #room.items == 0 then return '' end
  if not room.exists then redis.call('DEL', room.users_key) end -- all that an eviction may have left
  local went = count_users(room)
  if #went > 0 and keep > 0 then remember(room, went, keep) end
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

-- commit_rooms keeps the registry of rooms, those without presences, and the
-- deadlines of those in grace.
local function commit_rooms(rooms_key, empty_key, grace_key)
  if #born > 0 then redis.call('SADD', rooms_key, unpack(born)) end
  if #emptied > 0 then redis.call('ZADD', empty_key, unpack(emptied)) end
  if #filled > 0 then redis.call('ZREM', empty_key, unpack(filled)) end
  if #graced > 0 then redis.call('ZADD', grace_key, unpack(graced)) end
  if #ungraced > 0 then redis.call('ZREM', grace_key, unpack(ungraced)) end
end
