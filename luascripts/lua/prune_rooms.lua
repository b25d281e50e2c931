-- prune_rooms: deletes those rooms that are still without presences.
--
-- KEYS[1] rooms   KEYS[2] empty
-- KEYS[3..] for each room its hash and its users
-- ARGV      the name of each room
--
-- Returns the names of the deleted.

local deleted = {}
for i, name in ipairs(ARGV) do
  local key, users_key = KEYS[1 + i * 2], KEYS[2 + i * 2]
  if redis.call('HLEN', key) <= 1 then
    redis.call('DEL', key, users_key)
    deleted[#deleted + 1] = name
  end
end
redis.call('ZREM', KEYS[2], unpack(ARGV))
if #deleted > 0 then redis.call('SREM', KEYS[1], unpack(deleted)) end
return deleted
