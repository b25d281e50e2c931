-- prune: removes those presences of a node that are still stale.
--
-- KEYS[1] node    KEYS[2] presences of the node    KEYS[3] index of the node
-- KEYS[4] rooms   KEYS[5] empty
-- KEYS[6..] for each room its hash, which is also its topic, and its users
-- ARGV[1] node id   ARGV[2] max age in ms
-- ARGV[3] reason    ARGV[4] PUBLISH or SPUBLISH
-- ARGV[5] number of channels, then the short name of each
-- then for each room: its name, its number of channels, the position of each
--
-- Returns for each room its event, empty if nothing changed there.

local age = tonumber(ARGV[2])
local short, stale = {}, {}
for i = 1, tonumber(ARGV[5]) do short[i] = ARGV[5 + i] end
if #short > 0 then
  local seen = redis.call('ZMSCORE', KEYS[2], unpack(short))
  for i, score in ipairs(seen) do
    stale[i] = score and tonumber(score) < now_us / 1000 - age
  end
end

local at, events = 5 + #short, {}
for k = 6, #KEYS, 2 do
  local name, n = ARGV[at + 1], tonumber(ARGV[at + 2])
  local leaving, channels = {}, {}
  for i = 1, n do
    local position = tonumber(ARGV[at + 2 + i])
    if stale[position] then
      leaving[#leaving + 1] = short[position]
      channels[#channels + 1] = ARGV[1] .. '!' .. short[position]
    end
  end
  at = at + 2 + n
  if #channels == 0 then
    events[#events + 1] = ''
  else
    local room = open_room(KEYS[k], KEYS[k + 1], name, channels)
    for i, channel in ipairs(channels) do
      apply.r(room, channel, ARGV[3], room.old[i + 1])
      note(parted, leaving[i], name)
    end
    events[#events + 1] = commit_room(room, ARGV[4])
  end
end
commit_rooms(KEYS[4], KEYS[5])

local changed = {}
for i, channel in ipairs(short) do
  if stale[i] then changed[#changed + 1] = channel end
end
commit_index(KEYS[2], KEYS[3], changed)
return events
