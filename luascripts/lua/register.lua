-- register: a node begins an incarnation and signs its first lease.
--
-- KEYS[1] meta   KEYS[2] nodes   KEYS[3] node
-- ARGV[1] node id         ARGV[2] token of the process
-- ARGV[3] schema version  ARGV[4] number of shards
-- ARGV[5] lease in ms     ARGV[6] max age in ms
--
-- Returns the incarnation.
-- Errors: SCHEMA or SHARDS with the recorded value, when the data was written
-- by another version or with another number of shards; TAKEN when a living
-- process has this id.

local time = redis.call('TIME')
local now_ms = math.floor(time[1] * 1000 + time[2] / 1000)
redis.call('HSETNX', KEYS[1], 'schema', ARGV[3])
redis.call('HSETNX', KEYS[1], 'shards', ARGV[4])
local meta = redis.call('HMGET', KEYS[1], 'schema', 'shards')
if meta[1] ~= ARGV[3] then return redis.error_reply('SCHEMA ' .. meta[1]) end
if meta[2] ~= ARGV[4] then return redis.error_reply('SHARDS ' .. meta[2]) end

local leased = redis.call('ZSCORE', KEYS[2], ARGV[1])
local row = redis.call('HMGET', KEYS[3], 'token', 'lease')
if leased and row[1] and row[1] ~= ARGV[2] and tonumber(leased) >= now_ms - tonumber(row[2]) then
  return redis.error_reply('TAKEN ' .. row[1])
end

local incarnation = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('HSET', KEYS[3], 'incarnation', incarnation, 'number', '0', 'reply', '',
  'token', ARGV[2], 'lease', ARGV[5], 'age', ARGV[6])
redis.call('ZADD', KEYS[2], string.format('%.0f', now_ms), ARGV[1])
return incarnation
