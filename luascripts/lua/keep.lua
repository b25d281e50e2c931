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
