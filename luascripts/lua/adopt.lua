-- adopt: a node of which something is there, and which is in no list of nodes, is
-- listed, with a lease from now on. If it lives, it goes on signing; if not, it
-- will be swept as any other whose lease has lapsed.
local function adopt(nodes_key, node_key, id, lease)
  if redis.call('ZADD', nodes_key, 'NX', now_ms, id) == 1 then redis.call('HSETNX', node_key, 'lease', lease) end
end
