-- prune: removes presences of a node: the stale ones, or all if its lease has expired.
-- If the node is alive after all, the fence tells it so.
--
-- KEYS[1] node    KEYS[2] presences of the node    KEYS[3] index of the node
-- KEYS[4] rooms   KEYS[5] empty   KEYS[6] grace   KEYS[7] nodes   KEYS[8] meta
-- KEYS[9] exclusive
-- KEYS[10..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[5] is not 0, when its users were last seen
-- ARGV[1] node id   ARGV[2] max age in ms, '' to remove all of a dead node
-- ARGV[3] reason    ARGV[4] PUBLISH or SPUBLISH
-- ARGV[5] ms to remember users who went
-- ARGV[6] number of channels, then the short name of each
-- then for each room: its name, with its length (1 byte) before it; its number of
--   channels, the position of each
--
-- Returns for each room its event, empty if nothing changed there.
-- Errors: HELD while sweeps must wait.

if held(KEYS[8], KEYS[7]) then return redis.error_reply('HELD') end
exclusive_key = KEYS[9]
local age, keep, stride = tonumber(ARGV[2]), tonumber(ARGV[5]), ARGV[5] == '0' and 2 or 3
local short, stale = list(), {}
for i = 1, tonumber(ARGV[6]) do push(short, ARGV[6 + i]) end
if age then
  for i, score in ipairs(call('ZMSCORE', KEYS[2], unpack(short, 1, short.n))) do
    stale[i] = score and tonumber(score) < now_us / 1000 - age
  end
elseif lapsed(KEYS[8], KEYS[7], KEYS[1], ARGV[1]) then
  call('HDEL', KEYS[1], 'incarnation')
  for i = 1, short.n do stale[i] = true end
end

local at, olds, leaving = 6 + short.n, list(), list()
for k = 10, #KEYS, stride do
  local name, n, channels = ARGV[at + 1], tonumber(ARGV[at + 2]), list()
  for i = at + 3, at + 2 + n do
    local channel = short[ARGV[i] + 0]
    if stale[ARGV[i] + 0] then
      push(channels, ARGV[1] .. '!' .. channel)
      note(channel, name, false, false, false)
    end
  end
  push(leaving, channels)
  push(olds, channels.n > 0 and read_room(KEYS[k], KEYS[k + 1], unpack(channels, 1, channels.n)))
  at = at + 2 + n
end
clear_strays()

local at, events = 6 + short.n, {}
for r = 1, olds.n do
  local k, old, channels = 10 + (r - 1) * stride, olds[r], leaving[r]
  events[r] = ''
  if old then
    open_room(old[1], ARGV[at + 1], KEYS[k], KEYS[k + 1], KEYS[k + 2])
    for i = 1, channels.n do
      local record = old[i + 1]
      if record and not in_grace(record) then depart(channels[i], record, ARGV[3]) end
    end
    events[r] = commit_room(ARGV[4], keep) or ''
  end
  at = at + 2 + ARGV[at + 2]
end
commit_rooms(KEYS[4], KEYS[5], KEYS[6])
local changed = list()
for i = 1, short.n do
  if stale[i] then push(changed, short[i]) end
end
commit_index(KEYS[2], KEYS[3], changed, changed.n)
return events
