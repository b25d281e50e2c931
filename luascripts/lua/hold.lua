-- hold: after a time in which no node could sign its lease, because nobody reached
-- Redis or because a failover lost signatures, nobody is swept for a while. Otherwise
-- all nodes would expire together. The same happens after the clock has gone back, as
-- all nodes have signed in what is now the future.
--
-- In meta, "leased" is when a node last signed, "lease" how long that is valid, "wait"
-- how long a hold lasts, all in ms; "hold" is when the current hold ends, "span" its
-- full length, and "held" the last signature before it. If meta is lost, there is a
-- hold, as one may have been lost with it: the last signature is then taken from the
-- nodes, and the hold has the default length.

local default_wait = 12000

-- hold makes sweeps wait for this many ms from now on.
local function hold(meta_key, wait)
  redis.call('HSET', meta_key, 'hold', string.format('%.0f', now_us / 1000 + wait), 'span', wait)
end

-- held reports whether sweeps must wait. It is called before a signature. Half a lease is
-- more than the time between two signatures of one node, a third. A node that could not
-- sign for less than that, with a third before and a tenth after, keeps its lease. If a
-- hold ends later than possible, the clock has gone back: it lasts its length from now.
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

-- lapsed reports whether the lease of a node has expired; that of an unknown node has
-- not. A lease that was signed further ahead than it lasts dates from before the clock
-- went back. If the node's row is lost, it had the lease of the last node that signed.
local function lapsed(meta_key, nodes_key, node_key, id)
  local leased = redis.call('ZSCORE', nodes_key, id)
  local lease = redis.call('HGET', node_key, 'lease') or redis.call('HGET', meta_key, 'lease')
  return leased ~= false and math.abs(now_us / 1000 - leased) > (lease or 0) + 0
end
