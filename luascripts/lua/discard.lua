-- discard: deletes a key of the wrong type, on which every script would fail.
--
-- KEYS[1] the key
-- ARGV[1] the type that it should have
--
-- Returns 1.

if redis.call('TYPE', KEYS[1]).ok ~= ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return 1
