-- commit: writes what change gathered for a room, and publishes it as one event.
--
-- It adds to each key before it removes: a script that empties a key while its slot is
-- moving to another master cannot make it again.

local born, filled, emptied = list(), list(), list()

-- enlist_room notes the changes to the registries for the room.
local function enlist_room()
  if not exists then
    push(born, sub(room_name, 2))
  elseif before == 0 and presences > 0 then
    push(filled, sub(room_name, 2))
  elseif before > 0 and presences == 0 then
    push(emptied, now_ms, sub(room_name, 2))
  end
end

-- advance gives the room its next revision, updates the header and the registries, and
-- returns the first line of the event.
local function advance()
  enlist_room()
  if presences < 0 or users < 0 or anonymous < 0 then -- of a damaged room more may leave than are counted
    presences, users, anonymous = math.max(0, presences), math.max(0, users), math.max(0, anonymous)
  end
  local previous, next_one = revision, revision + 1
  revision = text(next_one < now_us and now_us or next_one)
  local counts = ' ' .. (exists and birth or revision) .. ' ' ..
    text(presences) .. ' ' .. text(users) .. ' ' .. text(anonymous)
  puts[2] = revision .. counts
  return revision .. ' ' .. previous .. counts .. '\n'
end

-- commit_room returns the event and its first line, or nothing if nothing changed. keep
-- is how long (ms) to remember users after they went, 0 for not at all.
local function commit_room(publish, keep)
  run('HSET', room_key, marks, marks.n)
  if n_items == 1 then return end
  count_users()
  if went.n > 0 and keep > 0 then remember(keep) end
  local line = advance()
  run('HDEL', room_key, drops, n_drops)
  run('HSET', room_key, puts, n_puts)
  items[1] = '\1C' .. line
  for i = 1, n_turns do items[n_items + i] = turns[i] end
  local event = table.concat(items, '', 1, n_items + n_turns)
  call(publish, room_key, event)
  return event, line
end

-- commit_rooms updates the registry of rooms, those without presences, and the
-- deadlines of those in grace.
local function commit_rooms(rooms_key, empty_key, grace_key)
  run('SADD', rooms_key, born, born.n)
  run('ZADD', empty_key, emptied, emptied.n)
  run('ZREM', empty_key, filled, filled.n)
  run('ZADD', grace_key, graced, graced.n)
  run('ZREM', grace_key, ungraced, ungraced.n)
  commit_claims()
end
