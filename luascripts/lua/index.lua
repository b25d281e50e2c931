-- index: writes which rooms each channel of a node is in, and when it was last seen.

-- commit_index writes the entries of n channels. Those that joined were seen then, or
-- later if they are not fresh. Those without rooms are forgotten.
local function commit_index(presences_key, index_key, channels, n)
  if n == 0 then return end
  local entries = call('HMGET', index_key, unpack(channels, 1, n))
  local set, n_set, seen, n_seen, again, gone = {}, 0, {}, 0, list(), list()
  for c = 1, n do
    local channel, entry = channels[c], entries[c] or ''
    local i = place[channel]
    local after = i and edited(entry, i) or entry
    if after == '' then
      push(gone, channel)
    elseif after ~= entry then
      set[n_set + 1], set[n_set + 2] = channel, after
      n_set = n_set + 2
    end
    if i and move_fresh[i] then
      seen[n_seen + 1], seen[n_seen + 2] = move_seen[i], channel
      n_seen = n_seen + 2
    elseif i and move_seen[i] then
      push(again, move_seen[i], channel)
    end
  end
  run('HSET', index_key, set, n_set)
  run('ZADD', presences_key, seen, n_seen)
  if again.n > 0 then call('ZADD', presences_key, 'GT', unpack(again, 1, again.n)) end
  run('HDEL', index_key, gone, gone.n)
  run('ZREM', presences_key, gone, gone.n)
end
