-- forget: deletes what is recorded of a shard, if nobody uses it.
--
-- KEYS[1] meta   KEYS[2] nodes   KEYS[3] rooms   KEYS[4] sweep
--
-- Returns the number of nodes and of rooms. Unless both are 0, nothing is done.

local nodes, rooms = redis.call('ZCARD', KEYS[2]), redis.call('SCARD', KEYS[3])
if nodes + rooms == 0 then redis.call('DEL', KEYS[1], KEYS[4]) end
return {nodes, rooms}
