-- moves: which rooms channels of a node enter and leave, gathered for the index. An index
-- entry is the rooms of a channel, each as its length (1 byte) and its name.

-- Moves, in order: the channel; the name of the room that it enters or leaves; when it
-- was seen, if it enters any; and whether it is fresh, that is, an add was among its
-- moves. A channel that moves more than once has a list of names, each with whether it
-- enters, for editing the index.
local moved, n_moved, place = {}, 0, {}
local move_name, move_enters, move_seen, move_fresh, moves = {}, {}, {}, {}, {}

local function note(channel, name, enters, seen, fresh)
  local i = place[channel]
  if not i then
    i = n_moved + 1
    n_moved = i
    place[channel], moved[i] = i, channel
    move_name[i], move_enters[i], move_seen[i], move_fresh[i] = name, enters, seen, fresh
    return
  end
  moves[i] = moves[i] or {move_name[i], move_enters[i]}
  local n = #moves[i]
  moves[i][n + 1], moves[i][n + 2] = name, enters
  move_seen[i], move_fresh[i] = seen or move_seen[i], fresh or move_fresh[i]
end

-- edit returns an entry after several moves. A room that is entered again stays in its
-- place.
local function edit(entry, list_of)
  local enters, kept, i = {}, list(), 1
  for m = 1, #list_of, 2 do enters[list_of[m]] = list_of[m + 1] end
  while i <= #entry do
    local stop = i + byte(entry, i)
    local name = sub(entry, i, stop)
    if enters[name] ~= false then push(kept, name) end
    if enters[name] then enters[name] = nil end
    i = stop + 1
  end
  for m = 1, #list_of, 2 do
    if enters[list_of[m]] then push(kept, list_of[m]) end
  end
  return table.concat(kept, '', 1, kept.n)
end

-- edited returns an entry after the moves of the channel at a position.
local function edited(entry, i)
  local name, enters = move_name[i], move_enters[i]
  if moves[i] then return edit(entry, moves[i]) end
  if enters and not string.find(entry, name, 1, true) then return entry .. name end
  if entry == name then return enters and entry or '' end
  return edit(entry, {name, enters})
end
