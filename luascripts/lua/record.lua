-- record: what is kept of a presence.
--
-- A record is 13 digits of joined at (ms), flags (1 byte), length of the identity (1
-- byte), identity, and the info. The identity is what is counted: the key if there is
-- one, else the user. With a key, the length of the user and the user precede the info.
-- Flags: 1 the info is encrypted; 2 there is a key; 4 it is in grace, and its last byte
-- is the reason that it will go for; 8 it is exclusive.

local function identity_of(record)
  return sub(record, 16, 15 + byte(record, 15))
end

local function in_grace(record)
  return byte(record, 14) % 8 >= 4
end

local function is_exclusive(record)
  return byte(record, 14) >= 8
end

-- grace_reason returns the reason that a record in grace will go for.
local function grace_reason(record)
  return sub(record, -1)
end

local function mark_grace(record, reason)
  return sub(record, 1, 13) .. string.char(byte(record, 14) + 4) .. sub(record, 15) .. reason
end

-- names_of returns a record from its flags to its user, with the flags of a record
-- without info.
local function names_of(record)
  local flags, identity = byte(record, 14, 15)
  local stop = 15 + identity
  if flags % 4 >= 2 then stop = stop + 1 + byte(record, stop + 1) end
  if flags == 0 or flags == 2 then return sub(record, 14, stop) end
  return string.char((flags % 4 >= 2 and 2 or 0) + (flags >= 8 and 8 or 0)) .. sub(record, 15, stop)
end

-- without_info returns a record as the event of a departure has it.
local function without_info(record)
  local flags, identity = byte(record, 14, 15)
  if flags == 0 then return sub(record, 1, 15 + identity) end
  return sub(record, 1, 13) .. names_of(record)
end
