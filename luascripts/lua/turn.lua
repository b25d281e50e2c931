-- turn: takes or gives back the turn to sweep a shard, so that what several sweepers
-- would prune at the same time is reported as one change of a room. No removal relies on
-- it: a sweeper that dies with the turn loses it after a while, or at once if the clock
-- has gone back and the turn would last longer.
--
-- KEYS[1] sweep   KEYS[2] meta   KEYS[3] nodes
-- KEYS[4] whole, when taking the turn: no sweep begins while the slot is moving, as
--   leases cannot be signed then
-- ARGV[1] token of the sweeper   ARGV[2] for how long in ms, 0 gives it back
--
-- Returns 1 if the sweeper has the turn, or had it when giving it back.
-- Errors: HELD while sweeps must wait.

local who = redis.call('HMGET', KEYS[1], 'token', 'until')
if ARGV[2] == '0' then
  if who[1] ~= ARGV[1] then return 0 end
  return redis.call('DEL', KEYS[1])
end
if held(KEYS[2], KEYS[3]) then return redis.error_reply('HELD') end
if who[1] and who[1] ~= ARGV[1] then
  local left = who[2] - now_us / 1000
  if left > 0 and left <= ARGV[2] + 1 then return 0 end
end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'until', string.format('%.0f', now_us / 1000 + ARGV[2]))
return 1
