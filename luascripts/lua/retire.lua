-- retire: forgets a node that has nothing left, once its lease has expired or when the
-- node itself, named by its incarnation, asks for it.
--
-- KEYS[1] node   KEYS[2] presences of the node   KEYS[3] index of the node
-- KEYS[4] nodes  KEYS[5] meta
-- ARGV[1] node id   ARGV[2] its incarnation, or '' for another's request
--
-- Returns 1 if it was forgotten.

if ARGV[2] == '' then
  if not lapsed(KEYS[5], KEYS[4], KEYS[1], ARGV[1]) then return 0 end
elseif redis.call('HGET', KEYS[1], 'incarnation') ~= ARGV[2] then
  return 0
end
if redis.call('HLEN', KEYS[3]) > 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('ZREM', KEYS[4], ARGV[1])
if redis.call('ZCARD', KEYS[4]) == 0 then redis.call('HDEL', KEYS[5], 'leased') end
return 1
