-- change: what one batch does to one room, gathered before anything is written.
--
-- A room's header, its field with the empty name, is
-- "<revision> <birth> <presences> <users> <anonymous>". A record is 13 digits
-- of joined at (ms), flags (1 byte), length of the user (1 byte), user, info.
-- Numbers of 16 digits are written with %.0f: tostring would round them.

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = string.format('%013.0f', math.floor(now_us / 1000))

local function netstring(s)
  return #s .. ':' .. s
end

local apply = {}

local function user_of(record)
  return string.sub(record, 16, 15 + string.byte(record, 15))
end

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
