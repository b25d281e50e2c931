-- write: adds, updates and removes presences of one node's channels, in one step.
-- A leave-all is a removal from each of the channel's rooms.
--
-- KEYS[1] node       KEYS[2] presences of the node  KEYS[3] index of the node
-- KEYS[4] rooms      KEYS[5] empty
-- KEYS[6..] for each room its hash, which is also its topic, and its users
-- ARGV[1] node id    ARGV[2] incarnation   ARGV[3] number of this batch
-- ARGV[4] PUBLISH or SPUBLISH
-- ARGV[5] number of channels, then the short name of each
-- then for each room: its name, its number of operations, and for each of them
--   a (add), u (update) or r (remove), the position of its channel, and
--   a: flags, length of user, user, info   u: flags, info   r: the reason
--
-- Returns, for each room:
-- "<revision> ", for each operation + (added), ~ (updated), - (removed),
-- . (no such presence) or = (as before) with the record as a netstring, and the
-- event as a netstring, empty if nothing changed.
-- Errors: FENCED when the incarnation or the number is not the node's.

local fence = redis.call('HMGET', KEYS[1], 'incarnation', 'number')
if fence[1] ~= ARGV[2] then return redis.error_reply('FENCED incarnation') end
if fence[2] == ARGV[3] then return redis.call('HGET', KEYS[1], 'reply') end
if tonumber(fence[2]) > tonumber(ARGV[3]) then return redis.error_reply('FENCED number') end

local short = {}
for i = 1, tonumber(ARGV[5]) do short[i] = ARGV[5 + i] end
local at, replies = 5 + #short, {}
for k = 6, #KEYS, 2 do
  local name, n = ARGV[at + 1], tonumber(ARGV[at + 2])
  local channels = {}
  for i = 1, n do channels[i] = ARGV[1] .. '!' .. short[tonumber(ARGV[at + i * 3 + 1])] end
  local room = open_room(KEYS[k], KEYS[k + 1], name, channels)
  local results = {}
  for i = 1, n do
    local kind, position, data = ARGV[at + i * 3], ARGV[at + i * 3 + 1], ARGV[at + i * 3 + 2]
    results[i] = apply[kind](room, channels[i], data, room.old[i + 1])
    if kind == 'a' then note(joined, short[tonumber(position)], name) end
    if kind == 'r' then note(parted, short[tonumber(position)], name) end
  end
  at = at + 2 + n * 3
  local event = commit_room(room, ARGV[4])
  replies[#replies + 1] = string.format('%.0f ', room.revision) .. table.concat(results) .. netstring(event)
end
commit_rooms(KEYS[4], KEYS[5])
commit_index(KEYS[2], KEYS[3], short)

local reply = table.concat(replies)
redis.call('HSET', KEYS[1], 'number', ARGV[3], 'reply', reply)
return reply
