-- write: changes presences of one node's channels in one step. A leave-all is a removal
-- from each of the channel's rooms.
--
-- KEYS[1] node       KEYS[2] presences of the node  KEYS[3] index of the node
-- KEYS[4] rooms      KEYS[5] empty                  KEYS[6] grace
-- KEYS[7] exclusive
-- KEYS[8..] for each room its hash, which is also its topic, and its users, and,
--   if ARGV[5] is not 0, when its users were last seen
-- ARGV[1] node id    ARGV[2] incarnation   ARGV[3] number of this batch
-- ARGV[4] PUBLISH or SPUBLISH              ARGV[5] ms to remember users who went
-- ARGV[6] number of channels that were not seen for some time, then for each its
--   name and that time in ms
-- then for each room: its name, with its length (1 byte) before it; a letter for
--   each of its operations; the channel of each; and the data of each: see add (a),
--   limit (l), revive (v), keep (k), confirm (c), update (u), grace (g), remove (r) and
--   drop (d)
--
-- Returns the time in ms and a blank. Then for each room the result of each operation:
-- + (it entered), ~ and the record (it changed), - and the reason and the record without
-- info (it left, and may then enter), g (it is in grace), . (there is none), ! (the room
-- is full), ^ (another is there in its place), = and the record (all is as before). If
-- another channel left for it, the result follows * and that channel, the reason and the
-- record without info. Then > or < and each user who came or went; and the line of its
-- event, or only its revision if nothing changed, and a newline. Channels, records and
-- users are netstrings.
-- Errors: FENCED if the incarnation is not the node's, or if this is not the batch that
-- follows the node's last one. RECORD if what is to be kept or confirmed is not a record:
-- nothing is done then.

local fence = call('HMGET', KEYS[1], 'incarnation', 'number')
if fence[1] ~= ARGV[2] then return redis.error_reply('FENCED incarnation') end
if fence[2] == ARGV[3] then return call('HGET', KEYS[1], 'reply') end
if tonumber(fence[2]) ~= ARGV[3] - 1 then return redis.error_reply('FENCED number') end

local publish, keep, stride = ARGV[4], tonumber(ARGV[5]), ARGV[5] == '0' and 2 or 3
exclusive_key = KEYS[7]
local first, seen = 6 + ARGV[6] * 2, {}
for i = 7, first, 2 do seen[ARGV[i]] = string.format('%.0f', math.floor(now_us / 1000 - ARGV[i + 1])) end

local at, olds, n_rooms = first, {}, (#KEYS - 7) / stride
for r = 1, n_rooms do
  local k, n = 8 + (r - 1) * stride, #ARGV[at + 2]
  if not are_records(at + 2) then return redis.error_reply('RECORD malformed') end
  olds[r] = read_room(KEYS[k], KEYS[k + 1], unpack(ARGV, at + 3, at + 2 + n))
  at = at + 2 + n * 2
end
clear_strays()

local skip = #ARGV[1] + 2
local function noted(letter, channel, absent, refused)
  if absent then
    note(sub(channel, skip), room_name, false, false, false)
  elseif letter ~= 'u' and not refused then
    local fresh = letter == 'a' or letter == 'l' or letter == 'v'
    note(sub(channel, skip), room_name, true, seen[channel] or now_ms, fresh)
  end
end

local at, replies, n = first, {now_ms, ' '}, 2
for r = 1, n_rooms do
  local k, old, letters = 8 + (r - 1) * stride, olds[r], ARGV[at + 2]
  open_room(old[1], ARGV[at + 1], KEYS[k], KEYS[k + 1], KEYS[k + 2])
  at = at + 2
  if is_single(letters, ARGV[at + 2], old[2], keep) then
    local channel, data = ARGV[at + 1], ARGV[at + 2]
    noted(letters, channel, letters == 'r')
    if letters == 'a' then
      replies[n + 1], replies[n + 2], replies[n + 3] = enter_single(channel, data, publish)
    else
      replies[n + 1], replies[n + 2], replies[n + 3] = leave_single(channel, data, old[2], publish)
    end
    n = n + 3
  else
    for i = 1, #letters do
      local letter, channel = sub(letters, i, i), ARGV[at + i]
      local told, absent, refused = apply[letter](channel, ARGV[at + #letters + i], old[i + 1])
      replies[n + i] = told
      noted(letter, channel, absent, refused)
    end
    local event, line = commit_room(publish, keep)
    n = n + #letters
    for i = 1, n_turns do replies[n + i] = turns[i] end
    n = n + n_turns + 1
    replies[n] = line or revision .. '\n'
  end
  at = at + #letters * 2
end
commit_rooms(KEYS[4], KEYS[5], KEYS[6])
commit_index(KEYS[2], KEYS[3], moved, n_moved)

local reply = table.concat(replies, '', 1, n)
call('HSET', KEYS[1], 'number', ARGV[3], 'reply', reply)
return reply
