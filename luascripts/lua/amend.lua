-- amend: makes the index, the presences and the graces match the record of a channel in
-- a room. The record itself, and so the room, stays as it is.
--
-- KEYS[1] the room's hash   KEYS[2] grace   KEYS[3] nodes   KEYS[4] node
-- KEYS[5] presences of the node   KEYS[6] index of the node   KEYS[7] meta
-- ARGV[1] node id   ARGV[2] short name of the channel
-- ARGV[3] room, '' for the channel's entry in the index alone
-- ARGV[4] the least lease in ms of a node that has no row
-- ARGV[5] grace in ms if the deadline is lost
--
-- Returns 1.

local room, member = ARGV[3], string.char(#ARGV[3]) .. ARGV[3] .. ARGV[1] .. '!' .. ARGV[2]
local record = room ~= '' and redis.call('HGET', KEYS[1], ARGV[1] .. '!' .. ARGV[2])
local graced = record and #record > 13 and in_grace(record)

-- Leave out entries that are not whole, or are there twice.
local entry, kept, have, i = redis.call('HGET', KEYS[6], ARGV[2]) or '', {}, {[''] = true}, 1
if room ~= '' then have[room] = true end
while i <= #entry do
  local stop = i + byte(entry, i)
  local name = sub(entry, i + 1, stop)
  if stop <= #entry and not have[name] then kept[#kept + 1] = sub(entry, i, stop) end
  have[name] = true
  i = stop + 1
end
if record and not graced then
  kept[#kept + 1] = string.char(#room) .. room
  adopt(KEYS[7], KEYS[3], KEYS[4], ARGV[1], ARGV[4])
end
if graced then
  redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now_us / 1000 + ARGV[5]), member)
elseif room ~= '' then
  redis.call('ZREM', KEYS[2], member)
end
if #kept > 0 then
  redis.call('HSET', KEYS[6], ARGV[2], table.concat(kept))
  redis.call('ZADD', KEYS[5], 'NX', now_ms, ARGV[2])
else
  redis.call('HDEL', KEYS[6], ARGV[2])
  redis.call('ZREM', KEYS[5], ARGV[2])
end
return 1
