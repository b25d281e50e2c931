-- touch: the channels were seen now. It creates none.
--
-- KEYS[1] presences of the node
-- ARGV    the short name of each channel, at most 1,000
--
-- Returns those that have no presence.

local seen = {}
for i, channel in ipairs(ARGV) do
  seen[i * 2 - 1] = now_ms
  seen[i * 2] = channel
end
if redis.call('ZADD', KEYS[1], 'XX', 'GT', 'CH', unpack(seen)) == #ARGV then return {} end
local missing = {}
local scores = redis.call('ZMSCORE', KEYS[1], unpack(ARGV))
for i, score in ipairs(scores) do
  if not score then missing[#missing + 1] = ARGV[i] end
end
return missing
