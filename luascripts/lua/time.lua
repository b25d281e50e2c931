-- time: the time of the server. No node's clock is used.

local time = redis.call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now_ms = string.format('%013.0f', math.floor(now_us / 1000))
