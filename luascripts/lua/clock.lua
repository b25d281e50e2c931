-- clock: the time of the server of a shard.
--
-- KEYS[1] meta
--
-- Returns the time in ms.

return now_ms
