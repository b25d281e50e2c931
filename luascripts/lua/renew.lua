-- renew: a node signs its lease.
--
-- KEYS[1] node     KEYS[2] nodes
-- ARGV[1] node id  ARGV[2] incarnation
--
-- Returns the time of the lease in ms.
-- Errors: FENCED when the incarnation is not the node's.

if redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[2] then
  return redis.error_reply('FENCED incarnation')
end
local time = redis.call('TIME')
local now_ms = string.format('%.0f', math.floor(time[1] * 1000 + time[2] / 1000))
redis.call('ZADD', KEYS[2], now_ms, ARGV[1])
return now_ms
