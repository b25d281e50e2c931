-- write: changes presences of one node's channels, in one step. A leave-all is a
-- removal from each of the channel's rooms.
--
-- KEYS[1] node       KEYS[2] presences of the node  KEYS[3] index of the node
-- KEYS[4] rooms      KEYS[5] empty                  KEYS[6] grace
-- KEYS[7..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[5] is not 0, when its users were last seen
-- ARGV[1] node id    ARGV[2] incarnation   ARGV[3] number of this batch
-- ARGV[4] PUBLISH or SPUBLISH              ARGV[5] ms to remember users who went
-- ARGV[6] number of channels, then for each its short name and for how long it
--   was not seen, in ms
-- then for each room: its name, its number of operations, and for each of them
--   its letter, the position of its channel, and its data: see add (a), keep
--   (k), confirm (c), update (u), grace (g) and remove (r)
--
-- Returns, for each room:
-- "<revision> ", for each operation + (added), ~ (updated), - (removed), g (in
-- grace), . (no such presence) or = (as before) with the record as a netstring,
-- and the event as a netstring, empty if nothing changed.
-- Errors: FENCED when the incarnation is not the node's, or when this is not the
-- batch that follows the node's last one.

local fence = redis.call('HMGET', KEYS[1], 'incarnation', 'number')
if fence[1] ~= ARGV[2] then return redis.error_reply('FENCED incarnation') end
if fence[2] == ARGV[3] then return redis.call('HGET', KEYS[1], 'reply') end
if tonumber(fence[2]) ~= ARGV[3] - 1 then return redis.error_reply('FENCED number') end

local keep, stride = tonumber(ARGV[5]), ARGV[5] == '0' and 2 or 3
local short, seen = {}, {}
for i = 1, tonumber(ARGV[6]) do
  short[i] = ARGV[5 + i * 2]
  seen[i] = string.format('%.0f', math.floor(now_us / 1000 - ARGV[6 + i * 2]))
end
local at, replies = 6 + #short * 2, {}
for k = 7, #KEYS, stride do
  local name, n = ARGV[at + 1], tonumber(ARGV[at + 2])
  local channels = {}
  for i = 1, n do channels[i] = ARGV[1] .. '!' .. short[tonumber(ARGV[at + i * 3 + 1])] end
  local room = open_room({KEYS[k], KEYS[k + 1], KEYS[k + 2]}, name, channels)
  local results = {}
  for i = 1, n do
    local kind, position = ARGV[at + i * 3], tonumber(ARGV[at + i * 3 + 1])
    results[i] = apply[kind](room, channels[i], ARGV[at + i * 3 + 2], room.old[i + 1])
    if kind == 'a' or kind == 'k' or kind == 'c' and results[i] ~= '.' then
      fresh[short[position]] = fresh[short[position]] or kind == 'a'
      note(joined, short[position], name, seen[position])
    elseif kind ~= 'u' then
      note(parted, short[position], name, true)
    end
  end
  at = at + 2 + n * 3
  local event = commit_room(room, ARGV[4], keep)
  replies[#replies + 1] = string.format('%.0f ', room.revision) .. table.concat(results) .. netstring(event)
end
commit_rooms(KEYS[4], KEYS[5], KEYS[6])
commit_index(KEYS[2], KEYS[3], short)

local reply = table.concat(replies)
redis.call('HSET', KEYS[1], 'number', ARGV[3], 'reply', reply)
return reply
