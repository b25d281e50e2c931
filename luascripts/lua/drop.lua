-- drop: remove, for a channel that its node knows nothing of, unless it is in grace: it
-- may have left with one since its node looked.
-- data: the reason, one letter
function apply.d(channel, reason, old)
  if old and in_grace(old) then return '.', true end
  return apply.r(channel, reason, old)
end
