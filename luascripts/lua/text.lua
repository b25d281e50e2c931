-- text: numbers and netstrings. Numbers of 16 digits are written with %.0f: tostring would
-- round them.

-- text writes a number. Most recur within a call, and writing one takes as long as
-- calling Redis.
local texts = {}
local function text(n)
  local t = texts[n]
  if not t then
    t = string.format('%.0f', n)
    texts[n] = t
  end
  return t
end

-- size returns what precedes the bytes of a netstring.
local sizes = {}
local function size(s)
  local t = sizes[#s]
  if not t then
    t = text(#s) .. ':'
    sizes[#s] = t
  end
  return t
end

local function netstring(s)
  return size(s) .. s
end
