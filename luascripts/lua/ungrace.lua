-- ungrace: removes those who left with a grace: those whose deadline has passed,
-- or, for a reason of the caller's, any.
--
-- KEYS[1] grace   KEYS[2] rooms   KEYS[3] empty   KEYS[4] meta
-- KEYS[5..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[3] is not 0, when its users were last seen
-- ARGV[1] reason, '' for the one with which each has left, past its deadline
-- ARGV[2] PUBLISH or SPUBLISH   ARGV[3] ms to remember users who went
-- then for each room: its name, its number of channels, the name of each
--
-- Returns for each room its event, empty if nothing changed there.
-- Errors: HELD while sweeps must wait.

if ARGV[1] == '' and held(KEYS[4]) then return redis.error_reply('HELD') end
local keep, stride = tonumber(ARGV[3]), ARGV[3] == '0' and 2 or 3
local at, events = 3, {}
for k = 5, #KEYS, stride do
  local name, n = ARGV[at + 1], tonumber(ARGV[at + 2])
  local channels, members = {}, {}
  for i = 1, n do
    channels[i] = ARGV[at + 2 + i]
    members[i] = grace_member(name, channels[i])
  end
  at = at + 2 + n
  local deadlines = redis.call('ZMSCORE', KEYS[1], unpack(members))
  local room = open_room({KEYS[k], KEYS[k + 1], KEYS[k + 2]}, name, channels)
  for i, channel in ipairs(channels) do
    local old = room.old[i + 1]
    local due = ARGV[1] ~= '' or deadlines[i] and tonumber(deadlines[i]) <= now_us / 1000
    if old and in_grace(old) then
      if due then depart(room, channel, old, ARGV[1] ~= '' and ARGV[1] or grace_reason(old)) end
    elseif deadlines[i] then
      ungraced[#ungraced + 1] = members[i] -- of a presence that is no more
    end
  end
  events[#events + 1] = commit_room(room, ARGV[2], keep)
end
commit_rooms(KEYS[2], KEYS[3], KEYS[1])
return events
