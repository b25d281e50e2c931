-- touch: the channels were seen now. It creates none.
--
-- KEYS[1] presences of the node
-- ARGV    the short name of each channel, at most 1,000
--
-- Returns those that have no presence.

local seen, n = {}, 0
for i = 1, #ARGV do
  seen[n + 1], seen[n + 2] = now_ms, ARGV[i]
  n = n + 2
end
if redis.call('ZADD', KEYS[1], 'XX', 'GT', 'CH', unpack(seen)) == #ARGV then return {} end
local missing = {}
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
for i, score in ipairs(scores) do
  if not score then missing[#missing + 1] = ARGV[i] end
end
return missing
