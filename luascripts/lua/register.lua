-- register: a node begins an incarnation and signs its first lease.
--
-- KEYS[1] meta   KEYS[2] nodes   KEYS[3] node
-- ARGV[1] node id         ARGV[2] token of the process
-- ARGV[3] schema version  ARGV[4] number of shards
-- ARGV[5] lease in ms     ARGV[6] max age in ms   ARGV[7] how long a hold lasts in ms
-- ARGV[8] the epoch that the node knows, '' if none
-- ARGV[9] 1 if the node has found out that writes were lost
-- ARGV[10] ms to remember users who went, '' to leave that as it is
--
-- Returns the incarnation, the epoch, and how long users who went are remembered, ''
-- where no node says so.
-- Errors: SCHEMA or SHARDS with the recorded value, when the data was written
-- by another version or with another number of shards; TAKEN when a living
-- process has this id.

redis.call('HSETNX', KEYS[1], 'schema', ARGV[3])
redis.call('HSETNX', KEYS[1], 'shards', ARGV[4])
local meta = redis.call('HMGET', KEYS[1], 'schema', 'shards', 'epoch')
if meta[1] ~= ARGV[3] then return redis.error_reply('SCHEMA ' .. meta[1]) end
if meta[2] ~= ARGV[4] then return redis.error_reply('SHARDS ' .. meta[2]) end
local token = redis.call('HGET', KEYS[3], 'token')
if token and token ~= ARGV[2] and redis.call('ZSCORE', KEYS[2], ARGV[1])
    and not lapsed(KEYS[1], KEYS[2], KEYS[3], ARGV[1]) then
  return redis.error_reply('TAKEN ' .. token)
end

held(KEYS[1], KEYS[2])
local now, epoch = string.format('%.0f', now_us), meta[3]
if not epoch or ARGV[9] == '1' and epoch == ARGV[8] then
  epoch = now
  redis.call('HSET', KEYS[1], 'epoch', epoch)
  if ARGV[9] == '1' then hold(KEYS[1], ARGV[7]) end -- as signatures are missing too
end
if ARGV[8] ~= '' and ARGV[8] ~= epoch then
  local healed = math.min(epoch / 1000, now_us / 1000) + ARGV[7] -- the clock may have gone back
  if healed > now_us / 1000 then redis.call('HSET', KEYS[1], 'healing', string.format('%.0f', healed)) end
end
if ARGV[10] ~= '' then redis.call('HSET', KEYS[1], 'remember', ARGV[10]) end
redis.call('HSET', KEYS[3], 'incarnation', now, 'number', '0', 'reply', '',
  'token', ARGV[2], 'lease', ARGV[5], 'age', ARGV[6])
sign(KEYS[1], KEYS[2], ARGV[1], ARGV[5], ARGV[7])
return {now, epoch, redis.call('HGET', KEYS[1], 'remember') or ''}
