-- prune: removes presences of a node: those that are stale, or, if its lease has
-- lapsed, any. The node, should it live, is then told so by the fence.
--
-- KEYS[1] node    KEYS[2] presences of the node    KEYS[3] index of the node
-- KEYS[4] rooms   KEYS[5] empty   KEYS[6] grace   KEYS[7] nodes   KEYS[8] meta
-- KEYS[9..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[5] is not 0, when its users were last seen
-- ARGV[1] node id   ARGV[2] max age in ms, '' to remove all of a dead node
-- ARGV[3] reason    ARGV[4] PUBLISH or SPUBLISH
-- ARGV[5] ms to remember users who went
-- ARGV[6] number of channels, then the short name of each
-- then for each room: its name, its number of channels, the position of each
--
-- Returns for each room its event, empty if nothing changed there.
-- Errors: HELD while sweeps must wait.

if held(KEYS[8]) then return redis.error_reply('HELD') end
local age, keep, stride = tonumber(ARGV[2]), tonumber(ARGV[5]), ARGV[5] == '0' and 2 or 3
local short, stale = {}, {}
for i = 1, tonumber(ARGV[6]) do short[i] = ARGV[6 + i] end
if age then
  for i, score in ipairs(redis.call('ZMSCORE', KEYS[2], unpack(short))) do
    stale[i] = score and tonumber(score) < now_us / 1000 - age
  end
elseif lapsed(KEYS[8], KEYS[7], KEYS[1], ARGV[1]) then
  redis.call('HDEL', KEYS[1], 'incarnation')
  for i = 1, #short do stale[i] = true end
end

local at, events, changed = 6 + #short, {}, {}
for k = 9, #KEYS, stride do
  local name, n = ARGV[at + 1], tonumber(ARGV[at + 2])
  local leaving, channels = {}, {}
  for i = 1, n do
    local position = tonumber(ARGV[at + 2 + i])
    if stale[position] then
      leaving[#leaving + 1] = short[position]
      channels[#channels + 1] = ARGV[1] .. '!' .. short[position]
      note(parted, short[position], name, true)
    end
  end
  at = at + 2 + n
  local event = ''
  if #channels > 0 then
    local room = open_room({KEYS[k], KEYS[k + 1], KEYS[k + 2]}, name, channels)
    for i, channel in ipairs(channels) do
      local old = room.old[i + 1]
      if old and not in_grace(old) then depart(room, channel, old, ARGV[3]) end
    end
    event = commit_room(room, ARGV[4], keep)
  end
  events[#events + 1] = event
end
commit_rooms(KEYS[4], KEYS[5], KEYS[6])
for i, channel in ipairs(short) do
  if stale[i] then changed[#changed + 1] = channel end
end
commit_index(KEYS[2], KEYS[3], changed)
return events
