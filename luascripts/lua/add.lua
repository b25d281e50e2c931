-- add: a channel enters a room. Where it is already, its user stays as it is
-- and nothing is published; another user takes its place as one change.
-- data: flags, length of user, user, info
function apply.a(room, channel, data, old)
  local record = now_ms .. data
  if old and user_of(old) == user_of(record) then return '=' .. netstring(old) end
  if old then depart(room, channel, old, 's') end
  enter(room, channel, record)
  return '+'
end
