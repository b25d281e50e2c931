-- enroll: lists a node that is not listed, if it has any data.
--
-- KEYS[1] nodes   KEYS[2] node   KEYS[3] presences of the node
-- KEYS[4] index of the node   KEYS[5] meta
-- ARGV[1] node id   ARGV[2] the least lease in ms if its row has none
--
-- Returns 1.

if redis.call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then adopt(KEYS[5], KEYS[1], KEYS[2], ARGV[1], ARGV[2]) end
return 1
