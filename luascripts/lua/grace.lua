-- grace: a channel leaves a room for its node, and stays for all others until a
-- deadline. Nothing is published.
-- data: the reason, one letter, and how long in ms
function apply.g(channel, data, old)
  if not old or in_grace(old) then return '.', true end
  push(marks, channel, mark_grace(old, sub(data, 1, 1)))
  push(graced, string.format('%.0f', math.floor(now_us / 1000) + sub(data, 2)), room_name .. channel)
  return 'g', true
end
