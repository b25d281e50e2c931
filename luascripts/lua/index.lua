-- index: which rooms each channel of a node is in, and when it was last seen.
-- An index entry is its rooms, each as its length (1 byte) and its name.

local joined, parted, fresh = {}, {}, {}

local function note(into, channel, room, value)
  into[channel] = into[channel] or {}
  into[channel][room] = value
end

-- edit returns the rooms of a channel after the batch, as an index entry.
local function edit(entry, join, part)
  local kept, have, i = {}, {}, 1
  while i <= #entry do
    local length = string.byte(entry, i)
    local room = string.sub(entry, i + 1, i + length)
    if not part[room] then kept[#kept + 1] = string.sub(entry, i, i + length) end
    have[room] = true
    i = i + length + 1
  end
  for room in pairs(join) do
    if not have[room] then kept[#kept + 1] = string.char(#room) .. room end
  end
  return table.concat(kept)
end

-- commit_index writes the entries of the channels; those that joined were seen
-- then, or later if they are not fresh; those without rooms are forgotten.
local function commit_index(presences_key, index_key, channels)
  if #channels == 0 then return end
  local entries = redis.call('HMGET', index_key, unpack(channels))
  local set, gone, seen, seen_again = {}, {}, {}, {}
  for i, channel in ipairs(channels) do
    local before = entries[i] or ''
    local after = edit(before, joined[channel] or {}, parted[channel] or {})
    if after == '' then
      gone[#gone + 1] = channel
    elseif after ~= before then
      set[#set + 1] = channel
      set[#set + 1] = after
    end
    if joined[channel] then
      local _, at = next(joined[channel]) -- the same for all of its rooms
      local list = fresh[channel] and seen or seen_again
      list[#list + 1] = at
      list[#list + 1] = channel
    end
  end
  if #set > 0 then redis.call('HSET', index_key, unpack(set)) end
  if #seen > 0 then redis.call('ZADD', presences_key, unpack(seen)) end
  if #seen_again > 0 then redis.call('ZADD', presences_key, 'GT', unpack(seen_again)) end
  if #gone > 0 then
    redis.call('HDEL', index_key, unpack(gone))
    redis.call('ZREM', presences_key, unpack(gone))
  end
end
