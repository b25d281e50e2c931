-- update: a presence gets another info; user and joined at stay.
-- data: flags, info
function apply.u(room, channel, data, old)
  if not old then return '.' end
  local user = string.sub(old, 15, 15 + string.byte(old, 15))
  local record = string.sub(old, 1, 13) .. string.sub(data, 1, 1) .. user .. string.sub(data, 2)
  if record == old then return '=' .. netstring(old) end
  room.put[#room.put + 1] = channel
  room.put[#room.put + 1] = record
  room.items[#room.items + 1] = '~' .. netstring(channel) .. netstring(record)
  return '~'
end
