-- reclaim: corrects a claim. A channel that has left gives it up, an exclusive one
-- takes it if nobody has it, and of two such channels the older leaves.
--
-- KEYS[1] rooms   KEYS[2] empty   KEYS[3] grace   KEYS[4] exclusive
-- KEYS[5] the room's hash, which is also its topic   KEYS[6] its users
-- KEYS[7] when its users were last seen
-- ARGV[1] the room's name, with its length (1 byte) before it   ARGV[2] identity
-- ARGV[3] channel   ARGV[4] PUBLISH or SPUBLISH
-- ARGV[5] ms to remember users who went
--
-- Returns the event, empty if nothing changed in the room.

exclusive_key = KEYS[4]
local name, channel = ARGV[1] .. ARGV[2], ARGV[3]
local holder = call('HGET', exclusive_key, name)
local old = read_room(KEYS[5], KEYS[6], channel)
open_room(old[1], ARGV[1], KEYS[5], KEYS[6], KEYS[7])
local record = old[2]
if not record or #record < 15 or not is_exclusive(record) or identity_of(record) ~= ARGV[2] then
  if holder == channel then claims[name] = false end
elseif yields(channel, record) then
  depart(channel, record, 'r')
else
  claim(channel, record)
end
local event = commit_room(ARGV[4], tonumber(ARGV[5]))
commit_rooms(KEYS[1], KEYS[2], KEYS[3])
return event or ''
