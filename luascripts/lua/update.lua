-- update: a presence gets another info; its names and joined at stay.
-- data: flags, info
function apply.u(channel, data, old)
  if not old or in_grace(old) then return '.' end
  local names = names_of(old)
  local flags = string.char(byte(names) + byte(data))
  local record = sub(old, 1, 13) .. flags .. sub(names, 2) .. sub(data, 2)
  if record == old then return '=' .. netstring(old) end
  return revise(channel, record)
end
