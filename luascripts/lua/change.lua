-- change: what a batch does to presences, gathered before anything is written. Each
-- function returns what the reply says about it, whether the channel is then not in the
-- room, and whether it was refused, which is no sign of life.

-- apply has the function of each operation, by its letter.
local apply = {}

-- graced and ungraced are what enters and leaves the sorted set of graces.
local graced, ungraced = list(), list()

local function put(kind, channel, record)
  puts[n_puts + 1], puts[n_puts + 2] = channel, record
  n_puts = n_puts + 2
  local n = n_items
  items[n + 1], items[n + 2], items[n + 3], items[n + 4], items[n + 5] =
    kind, size(channel), channel, size(record), record
  n_items = n + 5
end

-- enter adds a channel with a record that its node knows.
local function enter(channel, record)
  put('+', channel, record)
  tally(record, 1)
  return '+'
end

local function revise(channel, record)
  put('~', channel, record)
  return '~' .. size(record) .. record
end

-- depart reports a departure without the info: those who follow the room have it.
local function depart(channel, record, reason)
  local bare = without_info(record)
  local told = size(bare) .. bare
  n_drops = n_drops + 1
  drops[n_drops] = channel
  items[n_items + 1] = '-' .. reason .. size(channel) .. channel .. told
  n_items = n_items + 1
  tally(record, -1)
  if in_grace(record) then push(ungraced, room_name .. channel) end
  if is_exclusive(record) then release(channel, record) end
  return '-' .. reason .. told
end
