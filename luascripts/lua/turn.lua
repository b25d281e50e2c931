-- turn: takes or gives back the turn to sweep a shard, so that what several
-- would prune at the same time is told as one change of a room. No removal
-- relies on it: who dies with the turn loses it after a while.
--
-- KEYS[1] sweep
-- ARGV[1] token of the sweeper   ARGV[2] for how long in ms, 0 gives it back
--
-- Returns 1 if the sweeper has the turn, or had it when giving it back.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + time[2] / 1000
local held = redis.call('HMGET', KEYS[1], 'token', 'until')
if ARGV[2] == '0' then
  if held[1] ~= ARGV[1] then return 0 end
  return redis.call('DEL', KEYS[1])
end
if held[1] and held[1] ~= ARGV[1] and tonumber(held[2]) > now_ms then return 0 end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'until', string.format('%.0f', now_ms + ARGV[2]))
return 1
