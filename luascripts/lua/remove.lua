-- remove: a channel leaves a room. A leave-all is one of these for each of its rooms.
-- data: the reason, one letter
function apply.r(channel, reason, old)
  if not old then return '.', true end
  return depart(channel, old, reason), true
end
