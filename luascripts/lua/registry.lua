-- registry: what the registries say of a room.

-- enlist makes the registries match the room. A room that is gone leaves no users.
local function enlist(room_key, users_key, rooms_key, empty_key, name)
  local fields = redis.call('HLEN', room_key)
  if fields == 0 then
    redis.call('UNLINK', users_key)
    redis.call('SREM', rooms_key, name)
  else
    redis.call('SADD', rooms_key, name)
  end
  if fields > 0 and fields == redis.call('HEXISTS', room_key, '') then
    redis.call('ZADD', empty_key, 'NX', now_ms, name)
  else
    redis.call('ZREM', empty_key, name)
  end
end
