-- add: a channel enters a room. If it is there already, its identity stays as it is and
-- nothing is published. Another identity replaces it as one change, and so does the
-- channel itself if it was in grace.
-- data: a record without joined at
function apply.a(channel, data, old)
  local record = now_ms .. data
  if old and not in_grace(old) and names_of(old) == names_of(record) then return '=' .. netstring(old) end
  local told = claim(channel, record)
  if old then return told .. replace(channel, old, record) end
  return told .. enter(channel, record)
end
