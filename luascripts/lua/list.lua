-- list: short helpers that are used everywhere. A list knows its length, as it may be
-- empty.

local call, sub, byte = redis.call, string.sub, string.byte

local function list()
  return {n = 0}
end

-- push appends one value or two.
local function push(l, a, b)
  local n = l.n + 1
  l[n] = a
  if b then
    n = n + 1
    l[n] = b
  end
  l.n = n
end

-- run calls a command with a key and the first n values of a list.
local function run(command, key, l, n)
  if n > 0 then call(command, key, unpack(l, 1, n)) end
end
