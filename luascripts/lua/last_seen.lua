-- last_seen: when users were last in a room, if that is asked for.

-- max_last_seen bounds how many are remembered of a room: the newest.
local max_last_seen = 10000

-- remember records when users went, and keeps that for a while (ms).
local function remember(keep)
  local seen = list()
  for i = 1, went.n do push(seen, now_ms, went[i]) end
  run('ZADD', seen_key, seen, seen.n)
  call('ZREMRANGEBYSCORE', seen_key, '-inf', string.format('(%.0f', now_us / 1000 - keep))
  call('ZREMRANGEBYRANK', seen_key, 0, -1 - max_last_seen)
  call('PEXPIRE', seen_key, keep)
end
