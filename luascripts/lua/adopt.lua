-- adopt: lists a node that has data but is in no list of nodes, with a lease from now
-- on. If it is alive, it goes on signing; otherwise it will be swept like any other
-- with an expired lease. Its own lease may be as long as that of the node that signed
-- last, so it gets that one if it is longer than the given one.
local function adopt(meta_key, nodes_key, node_key, id, lease)
  if redis.call('ZADD', nodes_key, 'NX', now_ms, id) == 0 then return end
  local signed = tonumber(redis.call('HGET', meta_key, 'lease') or 0) or 0
  redis.call('HSETNX', node_key, 'lease', string.format('%.0f', math.max(tonumber(lease), signed)))
end
