-- remove: a channel leaves a room. A leave-all is this for each of its rooms.
-- data: the reason, one letter
function apply.r(room, channel, reason, old)
  if not old then return '.' end
  depart(room, channel, old, reason)
  return '-'
end
