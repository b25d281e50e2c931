-- record: the clock and the formats that the scripts share.
--
-- A record is 13 digits of joined at (ms), flags (1 byte), length of the user
-- (1 byte), user, info. Numbers of 16 digits are written with %.0f: tostring
-- would round them.

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = string.format('%013.0f', math.floor(now_us / 1000))

local function netstring(s)
  return #s .. ':' .. s
end

local function user_of(record)
  return string.sub(record, 16, 15 + string.byte(record, 15))
end
