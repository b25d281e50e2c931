-- revive: add, for a pruned channel that is alive. An exclusive one does not come back
-- if another has taken its place. No limit holds for it: it was let in before.
-- data: a record without joined at
function apply.v(channel, data, old)
  local record = now_ms .. data
  if is_exclusive(record) and rival(channel, record) then return yield(channel, old), true end
  return apply.a(channel, data, old)
end
