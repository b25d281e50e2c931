-- reclaim: makes a claim right: it is given up for a channel that has left, and one
-- that nobody has goes to a channel of which the record is exclusive.
--
-- KEYS[1] the room's hash   KEYS[2] exclusive
-- ARGV[1] room   ARGV[2] identity   ARGV[3] channel
--
-- Returns 0 where another channel has the claim, with a record that says so.

local claim = string.char(#ARGV[1]) .. ARGV[1] .. ARGV[2]
local function may(channel)
  local record = redis.call('HGET', KEYS[1], channel)
  return record and #record > 14 and is_exclusive(record) and identity_of(record) == ARGV[2]
end
local holder = redis.call('HGET', KEYS[2], claim)
if holder and may(holder) then return holder == ARGV[3] and 1 or 0 end
if may(ARGV[3]) then
  redis.call('HSET', KEYS[2], claim, ARGV[3])
else
  redis.call('HDEL', KEYS[2], claim)
end
return 1
