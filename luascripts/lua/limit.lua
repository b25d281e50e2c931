-- limit: add, unless the room is full. It counts users, whatever their channels, and
-- anonymous channels up to the limit; a user who is in the room already is let in. No
-- other operation of the batch is on the room.
-- data: the limit, a blank, and a record without joined at
function apply.l(channel, data, old)
  local blank = string.find(data, ' ', 1, true)
  local record = sub(data, blank + 1)
  if not old and users + anonymous >= tonumber(sub(data, 1, blank - 1)) then
    local identity = identity_of(now_ms .. record)
    if identity == '' or not call('HGET', users_key, identity) then return '!', true end
  end
  return apply.a(channel, record, old)
end
