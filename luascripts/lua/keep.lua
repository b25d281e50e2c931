-- keep: a channel is in a room, as its node says. What is missing is added, what
-- differs is changed, and nothing is published if all is well. An exclusive one leaves
-- if there is a newer one.
-- data: a record
function apply.k(channel, data, old)
  if yields(channel, data) then return yield(channel, old), true end
  local told = claim(channel, data)
  if old == data then return told .. '=' .. netstring(old) end
  if old and not in_grace(old) and names_of(old) == names_of(data) then
    return told .. revise(channel, data)
  end
  if old then return told .. replace(channel, old, data) end
  return told .. enter(channel, data)
end

-- is_record reports whether a record is whole, up to its user. In one that is cut off,
-- names_of and others would read bytes that are not there.
local function is_record(data)
  local flags, identity = byte(data, 14, 15)
  if not identity or not string.find(sub(data, 1, 13), '^%d+$') then return false end
  local stop = 15 + identity
  if flags % 4 >= 2 then stop = stop + 1 + (byte(data, stop + 1) or #data) end
  return stop <= #data
end

-- are_records tells so of all that is to be kept or confirmed in a room, of whose
-- operations the letters are at a position in ARGV.
local function are_records(at)
  local letters = ARGV[at]
  if not string.find(letters, '[kc]') then return true end
  for i = 1, #letters do
    local letter, data = sub(letters, i, i), ARGV[at + #letters + i]
    if letter == 'k' and not is_record(data) or letter == 'c' and not is_record(sub(data, 17)) then return false end
  end
  return true
end
