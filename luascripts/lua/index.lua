-- index: which rooms each channel of a node is in, and when it was last seen.
-- An index entry is its rooms, each as its length (1 byte) and its name.

-- moves holds of each channel when it was seen, if it enters any room; whether it
-- is fresh, as an add was among what it did; and then the name of each room, and
-- whether it enters or leaves.
local moves, moved = {}, list()

local function note(channel, name, enters, seen, fresh)
  local own = moves[channel]
  if not own then
    moves[channel] = {seen, fresh, name, enters}
    push(moved, channel)
    return
  end
  own[1], own[2] = seen or own[1], fresh or own[2]
  own[#own + 1] = name
  own[#own + 1] = enters
end

-- edit returns an entry after all moves of a channel.
local function edit(entry, own)
  local leaves, have, kept, i = {}, {}, list(), 1
  for m = 3, #own, 2 do leaves[own[m]] = not own[m + 1] end
  while i <= #entry do
    local stop = i + string.byte(entry, i)
    local name = string.sub(entry, i, stop)
    if not leaves[name] then push(kept, name) end
    have[name] = true
    i = stop + 1
  end
  for m = 3, #own, 2 do
    if own[m + 1] and not have[own[m]] then push(kept, own[m]) end
  end
  return table.concat(kept, '', 1, kept.n)
end

-- entry_after is edit, where the usual moves take no tables.
local function entry_after(entry, own)
  if #own > 4 then return edit(entry, own) end
  local name, enters = own[3], own[4]
  if enters and not string.find(entry, name, 1, true) then return entry .. name end
  if entry == name then return enters and entry or '' end
  return edit(entry, own)
end

-- commit_index writes the entries of n channels; those that joined were seen
-- then, or later if they are not fresh; those without rooms are forgotten.
local function commit_index(presences_key, index_key, channels, n)
  if n == 0 then return end
  local entries = call('HMGET', index_key, unpack(channels, 1, n))
  local set, n_set, seen, n_seen, again, gone = {}, 0, {}, 0, list(), list()
  for i = 1, n do
    local channel, entry = channels[i], entries[i] or ''
    local own = moves[channel]
    local after = own and entry_after(entry, own) or entry
    if after == '' then
      push(gone, channel)
    elseif after ~= entry then
      set[n_set + 1], set[n_set + 2] = channel, after
      n_set = n_set + 2
    end
    if own and own[2] then
      seen[n_seen + 1], seen[n_seen + 2] = own[1], channel
      n_seen = n_seen + 2
    elseif own and own[1] then
      push(again, own[1], channel)
    end
  end
  run('HSET', index_key, set, n_set)
  run('ZADD', presences_key, seen, n_seen)
  if again.n > 0 then call('ZADD', presences_key, 'GT', unpack(again, 1, again.n)) end
  run('HDEL', index_key, gone, gone.n)
  run('ZREM', presences_key, gone, gone.n)
end
