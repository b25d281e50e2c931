-- limit: add, unless the room is full. It counts users, whatever their channels, and
-- anonymous channels up to the limit; a user who is in the room already is let in, and
-- so is a channel whose user goes with it. No other operation of the batch is on the
-- room.
-- data: the limit, a blank, and a record without joined at

-- is_counted reports whether a channel with a record adds none to those who are counted.
local function is_counted(record, old)
  local identity = identity_of(record)
  if identity ~= '' and call('HGET', users_key, identity) then return true end
  if not old then return false end
  local theirs = identity_of(old)
  return theirs == '' or call('HGET', users_key, theirs) == '1'
end

function apply.l(channel, data, old)
  local blank = string.find(data, ' ', 1, true)
  local record = sub(data, blank + 1)
  if users + anonymous >= tonumber(sub(data, 1, blank - 1)) and not is_counted(now_ms .. record, old) then
    return '!', not old or in_grace(old), true
  end
  return apply.a(channel, record, old)
end
