-- refill: adds what is missing in meta. A new epoch makes all nodes add again what they
-- hold.
--
-- KEYS[1] meta
-- ARGV[1] schema version   ARGV[2] number of shards
--
-- Returns 1.

redis.call('HSETNX', KEYS[1], 'schema', ARGV[1])
redis.call('HSETNX', KEYS[1], 'shards', ARGV[2])
redis.call('HSETNX', KEYS[1], 'epoch', string.format('%.0f', now_us))
return 1
