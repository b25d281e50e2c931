-- replace: channels that take the place of others, or of what they were.

-- replace makes a presence depart before the channel enters again, with the claim that
-- it may have given up.
local function replace(channel, old, record)
  local told = depart(channel, old, in_grace(old) and grace_reason(old) or 's')
  if is_exclusive(record) then claims[claim_of(record)] = channel end
  return told .. enter(channel, record)
end

-- claim makes an exclusive channel replace another, and returns the report of that
-- departure.
local function claim(channel, record)
  if not is_exclusive(record) then return '' end
  local holder, theirs, mine = rival(channel, record)
  if mine then return '' end
  claims[claim_of(record)] = channel
  if not holder then return '' end
  local told = depart(holder, theirs, in_grace(theirs) and grace_reason(theirs) or 'r')
  return '*' .. netstring(holder) .. sub(told, 2)
end

-- yield keeps an exclusive channel out, because another is there.
local function yield(channel, old)
  return (old and depart(channel, old, 'r') or '') .. '^'
end
