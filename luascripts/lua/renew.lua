-- renew: a node signs its lease, and finds out whether Redis has lost what it wrote and
-- whether it has a subscriber connection to this server.
--
-- KEYS[1] node     KEYS[2] nodes   KEYS[3] meta   KEYS[4] topic: the node's pulse,
--   which is never a key, so that no lease is signed while the slot is moving: some
--   could be and others not, and a sweep would take those for dead
-- KEYS[5] presences of the node
-- ARGV[1] node id  ARGV[2] incarnation   ARGV[3] number of its last batch
-- ARGV[4] lease in ms   ARGV[5] how long a hold lasts in ms
-- ARGV[6] PUBLISH or SPUBLISH
-- ARGV[7] ms to remember users who went, '' if the node leaves that to others
--
-- If the clock has gone back, channels seen in what is now the future count as seen now,
-- a thousand at a time.
--
-- Returns the epoch, and how many heard the pulse.
-- Errors: FENCED if the incarnation is not the node's, or if batches of the node were
-- lost.

local row = redis.call('HMGET', KEYS[1], 'incarnation', 'number')
if row[1] ~= ARGV[2] then return redis.error_reply('FENCED incarnation') end
if tonumber(row[2]) < tonumber(ARGV[3]) then return redis.error_reply('FENCED number') end
held(KEYS[3], KEYS[2])
sign(KEYS[3], KEYS[2], ARGV[1], ARGV[4], ARGV[5])
local meta = redis.call('HMGET', KEYS[3], 'epoch', 'healing', 'remember')
if not meta[1] then
  meta[1] = string.format('%.0f', now_us)
  redis.call('HSET', KEYS[3], 'epoch', meta[1])
end
if not meta[3] and ARGV[7] ~= '' then redis.call('HSET', KEYS[3], 'remember', ARGV[7]) end -- it was lost
local left = meta[2] and meta[2] - now_us / 1000
if left and left < 0 then
  redis.call('HDEL', KEYS[3], 'healing')
elseif left and left > tonumber(ARGV[5]) then -- the clock has gone back
  redis.call('HSET', KEYS[3], 'healing', string.format('%.0f', now_us / 1000 + ARGV[5]))
end
local seen = {}
for i, short in ipairs(redis.call('ZRANGEBYSCORE', KEYS[5], '(' .. now_ms, '+inf', 'LIMIT', 0, 1000)) do
  seen[2 * i - 1], seen[2 * i] = now_ms, short
end
if #seen > 0 then redis.call('ZADD', KEYS[5], 'XX', unpack(seen)) end
return {meta[1], redis.call(ARGV[6], KEYS[4], '')}
