-- turns: who came to a room and who went.

local gone, went = list(), list() -- users to drop, and those of them that were there

local function turn(kind, user)
  n_turns = n_turns + 1
  turns[n_turns] = kind .. size(user) .. user
end

-- judge notes whether a user came or went.
local function judge(user, was, is)
  if is > 0 then
    if was == 0 then
      users = users + 1
      turn('>', user)
    end
    return
  end
  push(gone, user)
  if was > 0 then
    users = users - 1
    turn('<', user)
    push(went, user)
  end
end
