-- change: what one batch does to one room, gathered before anything is written.
--
-- A room's header, its field with the empty name, is
-- "<revision> <birth> <presences> <users> <anonymous>".

-- apply holds what each operation does, by its letter.
local apply = {}

-- graced and ungraced are what enters and leaves the sorted set of graces.
local graced, ungraced = {}, {}

-- open_room reads the header of a room and the records of some channels. Its
-- keys are its hash, its users, and, with a third, when users were last seen.
local function open_room(keys, name, channels)
  local old = redis.call('HMGET', keys[1], '', unpack(channels))
  local revision, birth, n, users, anonymous =
    string.match(old[1] or '0 0 0 0 0', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    key = keys[1], users_key = keys[2], seen_key = keys[3], name = name, old = old, exists = old[1] ~= false,
    revision = tonumber(revision), birth = birth,
    before = tonumber(n), n = tonumber(n),
    users = tonumber(users), anonymous = tonumber(anonymous),
    put = {'', ''}, drop = {}, quiet = {}, items = {}, delta = {}, touched = {},
  }
end

local function enter(room, channel, record)
  room.put[#room.put + 1] = channel
  room.put[#room.put + 1] = record
  room.items[#room.items + 1] = '+' .. netstring(channel) .. netstring(record)
  tally(room, record, 1)
end

local function revise(room, channel, record)
  room.put[#room.put + 1] = channel
  room.put[#room.put + 1] = record
  room.items[#room.items + 1] = '~' .. netstring(channel) .. netstring(record)
end

-- depart tells of a departure without the info: who follows the room has it.
local function depart(room, channel, record, reason)
  local short = string.sub(record, 1, 13) .. names_of(record)
  room.drop[#room.drop + 1] = channel
  room.items[#room.items + 1] = '-' .. reason .. netstring(channel) .. netstring(short)
  tally(room, record, -1)
  if in_grace(record) then ungraced[#ungraced + 1] = grace_member(room.name, channel) end
end

-- replace has a presence depart before the channel enters again.
local function replace(room, channel, old)
  depart(room, channel, old, in_grace(old) and grace_reason(old) or 's')
end
