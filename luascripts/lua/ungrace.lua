-- ungrace: removes presences that left with a grace: those past their deadline or, with
-- the caller's reason, all.
--
-- KEYS[1] grace   KEYS[2] rooms   KEYS[3] empty   KEYS[4] meta   KEYS[5] exclusive
-- KEYS[6] nodes
-- KEYS[7..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[3] is not 0, when its users were last seen
-- ARGV[1] reason, '' for the one with which each has left, past its deadline
-- ARGV[2] PUBLISH or SPUBLISH   ARGV[3] ms to remember users who went
-- then for each room: its name, with its length (1 byte) before it; its number of
--   channels, the name of each
--
-- Returns for each room its event, empty if nothing changed there.
-- Errors: HELD while sweeps must wait.

exclusive_key = KEYS[5]
if ARGV[1] == '' and held(KEYS[4], KEYS[6]) then return redis.error_reply('HELD') end
local keep, stride = tonumber(ARGV[3]), ARGV[3] == '0' and 2 or 3
local at, olds = 3, list()
for k = 7, #KEYS, stride do
  local n = tonumber(ARGV[at + 2])
  push(olds, read_room(KEYS[k], KEYS[k + 1], unpack(ARGV, at + 3, at + 2 + n)))
  at = at + 2 + n
end
clear_strays()

local at, events = 3, {}
for r = 1, olds.n do
  local k, old, name, n, members = 7 + (r - 1) * stride, olds[r], ARGV[at + 1], tonumber(ARGV[at + 2]), list()
  at = at + 2
  for i = 1, n do push(members, name .. ARGV[at + i]) end
  local deadlines = call('ZMSCORE', KEYS[1], unpack(members, 1, n))
  open_room(old[1], name, KEYS[k], KEYS[k + 1], KEYS[k + 2])
  for i = 1, n do
    local record, channel = old[i + 1], ARGV[at + i]
    local due = ARGV[1] ~= '' or deadlines[i] and tonumber(deadlines[i]) <= now_us / 1000
    if record and in_grace(record) then
      if due then depart(channel, record, ARGV[1] ~= '' and ARGV[1] or grace_reason(record)) end
    elseif deadlines[i] then
      push(ungraced, members[i]) -- of a presence that no longer exists
    end
  end
  at = at + n
  events[r] = commit_room(ARGV[2], keep) or ''
end
commit_rooms(KEYS[2], KEYS[3], KEYS[1])
return events
