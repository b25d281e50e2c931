-- change: what one batch does to one room, gathered before anything is written.
--
-- A room's header, its field with the empty name, is
-- "<revision> <birth> <presences> <users> <anonymous>".

-- apply holds what add, update and remove do, by the letter of the operation.
local apply = {}

-- open_room reads the header of a room and the records of some channels.
local function open_room(key, users_key, name, channels)
  local old = redis.call('HMGET', key, '', unpack(channels))
  local revision, birth, n, users, anonymous =
    string.match(old[1] or '0 0 0 0 0', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return {
    key = key, users_key = users_key, name = name, old = old, exists = old[1] ~= false,
    revision = tonumber(revision), birth = birth,
    before = tonumber(n), n = tonumber(n),
    users = tonumber(users), anonymous = tonumber(anonymous),
    put = {'', ''}, drop = {}, items = {}, delta = {}, touched = {},
  }
end

local function tally(room, record, by)
  local user = user_of(record)
  room.n = room.n + by
  if user == '' then
    room.anonymous = room.anonymous + by
    return
  end
  if not room.delta[user] then
    room.delta[user] = 0
    room.touched[#room.touched + 1] = user
  end
  room.delta[user] = room.delta[user] + by
end

local function enter(room, channel, record)
  room.put[#room.put + 1] = channel
  room.put[#room.put + 1] = record
  room.items[#room.items + 1] = '+' .. netstring(channel) .. netstring(record)
  tally(room, record, 1)
end

-- depart tells of a departure without the info: who follows the room has it.
local function depart(room, channel, record, reason)
  local short = string.sub(record, 1, 15 + string.byte(record, 15))
  room.drop[#room.drop + 1] = channel
  room.items[#room.items + 1] = '-' .. reason .. netstring(channel) .. netstring(short)
  tally(room, record, -1)
end
