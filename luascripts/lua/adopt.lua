-- adopt: lists a node that has data but is in no list of nodes, with a lease from now
-- on. If it is alive, it goes on signing; otherwise it will be swept like any other
-- with an expired lease.
local function adopt(nodes_key, node_key, id, lease)
  if redis.call('ZADD', nodes_key, 'NX', now_ms, id) == 1 then redis.call('HSETNX', node_key, 'lease', lease) end
end
