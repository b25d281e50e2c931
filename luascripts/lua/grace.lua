-- grace: a channel leaves a room for its node, and stays for all others until a
-- deadline. Nothing is published.
-- data: the reason, one letter, and how long in ms
function apply.g(room, channel, data, old)
  if not old or in_grace(old) then return '.' end
  room.quiet[#room.quiet + 1] = channel
  room.quiet[#room.quiet + 1] = mark_grace(old, string.sub(data, 1, 1))
  graced[#graced + 1] = string.format('%.0f', now_us / 1000 + string.sub(data, 2))
  graced[#graced + 1] = grace_member(room.name, channel)
  return 'g'
end
