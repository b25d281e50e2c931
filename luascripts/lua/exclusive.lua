-- exclusive: only the newest of an identity's exclusive channels in a room stays. Its
-- claim is in a hash. The field is the room's name, with its length before it, and the
-- identity; the value is the channel. An operation that may take a claim is alone in its
-- room in a batch; one that only gives up a claim need not be.

local exclusive_key
local claims = {} -- channels by claim, false if it is given up

local function claim_of(record)
  return room_name .. identity_of(record)
end

-- rival returns the other channel that has the claim of a record, and its record.
local function rival(channel, record)
  local holder = call('HGET', exclusive_key, claim_of(record))
  if not holder or holder == channel then return nil, nil, holder end
  local theirs = call('HGET', room_key, holder)
  if not theirs or not is_exclusive(theirs) or identity_of(theirs) ~= identity_of(record) then return end
  return holder, theirs
end

-- yields reports whether an exclusive channel is not the newest.
local function yields(channel, record)
  if not is_exclusive(record) then return false end
  local holder, theirs = rival(channel, record)
  if not holder then return false end
  local mine, newest = sub(record, 1, 13), sub(theirs, 1, 13)
  return newest > mine or newest == mine and holder > channel
end

-- release gives up the claim of a channel that leaves.
local function release(channel, record)
  local claim = claim_of(record)
  if claims[claim] == nil and call('HGET', exclusive_key, claim) == channel then claims[claim] = false end
end

local function commit_claims()
  if next(claims) == nil then return end
  local taken, given = list(), list()
  for claim, channel in pairs(claims) do
    if channel then push(taken, claim, channel) else push(given, claim) end
  end
  run('HSET', exclusive_key, taken, taken.n)
  run('HDEL', exclusive_key, given, given.n)
end
