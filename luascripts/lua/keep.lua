-- keep: a channel is in a room, as its node says that it was. What is missing is
-- added, what differs is changed, and nothing is published where all is well.
-- data: a record
function apply.k(channel, data, old)
  if old == data then return '=' .. netstring(old) end
  if old and not in_grace(old) and names_of(old) == names_of(data) then
    return revise(channel, data)
  end
  if old then return replace(channel, old, data) end
  return enter(channel, data)
end
