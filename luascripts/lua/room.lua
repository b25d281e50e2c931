-- room: the room that is being changed, what to write there, and what to report. All of
-- it is in variables and lists that are reused for the next room: a table for each
-- would cost as much as the commands.
--
-- A room's header, its field with the empty name, is
-- "<revision> <birth> <presences> <users> <anonymous>".

local room_key, users_key, seen_key, room_name
local exists, revision, birth, before, presences, users, anonymous

local puts, n_puts = {''}, 0     -- fields and values, the header first
local drops, n_drops = {}, 0     -- channels
local items, n_items = {}, 0     -- of the event, in pieces, its first line first
local touched, n_touched = {}, 0 -- identities whose channels have changed
local delta = {}                 -- by how many, for each
local turns, n_turns = {}, 0     -- items of users who came or went
local marks = list()             -- channels and their records in grace, not reported

-- strays are the users of rooms that no longer exist, as an eviction may leave them.
local strays = list()

-- read_room reads the header of a room and the records of some channels, for open_room.
-- All rooms are read before any is changed.
local function read_room(key, users_of, ...)
  local old = call('HMGET', key, '', ...)
  if not old[1] then push(strays, users_of) end
  return old
end

local function clear_strays()
  if strays.n > 0 then call('DEL', unpack(strays, 1, strays.n)) end
end

-- open_room begins the changes of a room. Its name comes with its length before it, as
-- in the index.
local function open_room(header, name, key, users_of, seen_of)
  room_name, room_key, users_key, seen_key = name, key, users_of, seen_of
  exists = header ~= false
  revision, birth, presences, users, anonymous =
    string.match(header or '0 0 0 0 0', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not revision then -- damaged: a recount mends it, and no batch stays half done
    exists, revision, birth, presences, users, anonymous = false, '0', '0', 0, 0, 0
  end
  presences, users, anonymous = presences + 0, users + 0, anonymous + 0
  before = presences
  for i = 1, n_touched do delta[touched[i]] = nil end
  n_puts, n_drops, n_items, n_touched, n_turns = 2, 0, 1, 0, 0
  marks.n = 0
end
