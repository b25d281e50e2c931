-- drop: remove, of a channel of which its node knows nothing, unless it is in grace: it
-- may have left so since its node has looked.
-- data: the reason, one letter
function apply.d(channel, reason, old)
  if old and in_grace(old) then return '.', true end
  return apply.r(channel, reason, old)
end
