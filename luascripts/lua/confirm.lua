-- confirm: keep, unless the presence is known to have been removed: the room is still
-- the one that it was in, and nothing that its node wrote was lost.
-- data: 16 digits of the revision at which the node wrote it, and the record
function apply.c(channel, data, old)
  local since = tonumber(sub(data, 1, 16))
  local record = sub(data, 17)
  if not old and exists and birth + 0 <= since then return yields(channel, record) and '^' or '.', true end
  return apply.k(channel, record, old)
end
