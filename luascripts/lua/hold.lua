-- hold: after a time in which no node could sign its lease, as nobody reached
-- Redis, or when signatures were lost in a failover, nobody is swept for a while.
-- Without that, all would expire together. So it is when the clock has gone back, as
-- all have signed in what is the future now.
--
-- In meta, "leased" is when a node signed last, "lease" how long that holds,
-- "wait" how long a hold is to last, all in ms; "hold" is until when there is
-- one, "span" how long it was to last, and "held" which signature was the last before
-- it. Where meta is lost, there
-- is a hold, as one may have been lost with it: the nodes tell of the last
-- signature, and it lasts as long as by default.

local default_wait = 12000

-- hold makes sweeps wait for this many ms from now on.
local function hold(meta_key, wait)
  redis.call('HSET', meta_key, 'hold', string.format('%.0f', now_us / 1000 + wait), 'span', wait)
end

-- held tells whether sweeps must wait. It comes before a signature. Half a lease is
-- more than passes between two signatures of one node, a third, and leaves one that
-- could not sign for less, a third before and a tenth after, its lease. A hold that
-- ends later than any can, as the clock has gone back, lasts its time from now on.
local function held(meta_key, nodes_key)
  local meta = redis.call('HMGET', meta_key, 'leased', 'lease', 'wait', 'hold', 'held', 'span')
  local lost = not meta[1]
  if lost then
    meta[1] = redis.call('ZRANGE', nodes_key, 0, 0, 'REV', 'WITHSCORES')[2]
    if not meta[1] then return false end
    meta[3] = meta[3] or default_wait
  end
  local now = now_us / 1000
  if (lost or math.abs(now - meta[1]) > meta[2] / 2) and meta[5] ~= meta[1] then
    redis.call('HSET', meta_key, 'held', meta[1])
    hold(meta_key, meta[3])
    return true
  end
  if not meta[4] or now >= tonumber(meta[4]) then return false end
  local span = meta[6] or meta[3]
  if meta[4] - now > span + 1 then hold(meta_key, span) end
  return true
end

-- sign writes the lease of a node.
local function sign(meta_key, nodes_key, id, lease, wait)
  redis.call('ZADD', nodes_key, now_ms, id)
  redis.call('HSET', meta_key, 'leased', now_ms, 'lease', lease, 'wait', wait)
end

-- lapsed tells whether the lease of a node has, which none has that is unknown. One
-- that was signed further ahead than it lasts was so before the clock went back.
-- Where the node's row is lost, it had the lease of the one that signed last.
local function lapsed(meta_key, nodes_key, node_key, id)
  local leased = redis.call('ZSCORE', nodes_key, id)
  local lease = redis.call('HGET', node_key, 'lease') or redis.call('HGET', meta_key, 'lease')
  return leased ~= false and math.abs(now_us / 1000 - leased) > (lease or 0) + 0
end
