-- retire: forgets a node of which nothing is left, once its lease has lapsed or
-- when the node itself, named by its incarnation, asks for it.
--
-- KEYS[1] node   KEYS[2] presences of the node   KEYS[3] index of the node
-- KEYS[4] nodes
-- ARGV[1] node id   ARGV[2] its incarnation, or '' for another's request
--
-- Returns 1 if it was forgotten.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local leased = redis.call('ZSCORE', KEYS[4], ARGV[1])
local row = redis.call('HMGET', KEYS[1], 'incarnation', 'lease')
if ARGV[2] == '' then
  if leased and tonumber(leased) >= now_ms - tonumber(row[2] or 0) then return 0 end
elseif row[1] ~= ARGV[2] then
  return 0
end
if redis.call('ZCARD', KEYS[2]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[1])
return 1
