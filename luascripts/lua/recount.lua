-- recount: sets the counts of a room to those of its presences, unless it has changed
-- since they were counted. The users of a large room come in several calls, and the
-- header with the last.
--
-- KEYS[1] the room's hash, which is also its topic   KEYS[2] its users
-- KEYS[3] rooms   KEYS[4] empty
-- ARGV[1] the room's name     ARGV[2] its header when it was counted, '' if none
-- ARGV[3] the revision in it  ARGV[4] its birth, '' for a new one
-- ARGV[5] PUBLISH or SPUBLISH ARGV[6] how many are anonymous, '' if more is to come
-- ARGV[7] number of fields that are no records, then the fields
-- then for each user who was miscounted: the user, the number of channels
--
-- Returns the event, '' if more is to come.
-- Errors: CHANGED when the room has changed since.

if (redis.call('HGET', KEYS[1], '') or '') ~= ARGV[2] or redis.call('EXISTS', KEYS[1]) == 0 then
  return redis.error_reply('CHANGED')
end
local junk, set, gone = {}, {}, {}
for i = 8, 7 + tonumber(ARGV[7]) do junk[#junk + 1] = ARGV[i] end
for i = 8 + #junk, #ARGV, 2 do
  if ARGV[i + 1] == '0' then
    gone[#gone + 1] = ARGV[i]
  else
    set[#set + 1] = ARGV[i]
    set[#set + 1] = ARGV[i + 1]
  end
end
if #set > 0 then redis.call('HSET', KEYS[2], unpack(set)) end
local users = redis.call('HLEN', KEYS[2]) -- the hash may be gone after the next line
if #gone > 0 then users = users - redis.call('HDEL', KEYS[2], unpack(gone)) end
if ARGV[6] == '' then return '' end

local revision = string.format('%.0f', math.max(tonumber(ARGV[3]) + 1, now_us))
local birth = ARGV[4] == '' and revision or ARGV[4]
redis.call('HSET', KEYS[1], '', revision)
if #junk > 0 then redis.call('HDEL', KEYS[1], unpack(junk)) end
local counts = ' ' .. birth .. ' ' .. redis.call('HLEN', KEYS[1]) - 1 .. ' ' .. users .. ' ' .. ARGV[6]
redis.call('HSET', KEYS[1], '', revision .. counts)
enlist(KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1])
local event = '\1C' .. revision .. ' ' .. ARGV[3] .. counts .. '\n'
redis.call(ARGV[5], KEYS[1], event)
return event
