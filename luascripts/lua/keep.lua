-- keep: a channel is in a room, as its node says that it was. What is missing is
-- added, what differs is changed, and nothing is published where all is well.
-- data: a record
function apply.k(room, channel, data, old)
  if old == data then return '=' .. netstring(old) end
  if old and not in_grace(old) and names_of(old) == names_of(data) then
    revise(room, channel, data)
    return '~'
  end
  if old then replace(room, channel, old) end
  enter(room, channel, data)
  return '+'
end
