// What has changed in a room, as lines of the log: who came and went, why, and on which node.
// A line is {kind, who, what, node}; kind is "came", "went", "more", "less" or "resync".

const TOLD = 12; // at once; beyond that it is told in numbers

const GONE = {
  left: "left",
  disconnected: "disconnected",
  "timed out": "timed out",
  pruned: "was pruned",
  "removed by another node": "was removed",
  drained: "drained",
};

// newsOf is what a diff says, oldest first.
export function newsOf({ added, removed, users_came: came, users_went: went, resync }) {
  const lines = brief([...goings(removed, new Set(went)), ...comings(added, new Set(came))]);
  return resync ? [{ kind: "resync", what: "Missed changes, read the room again" }, ...lines] : lines;
}

// newsBetween is what has happened between two snapshots, while nobody told.
export function newsBetween(before, after) {
  const went = Array.from(before.users.keys()).filter((name) => !after.users.has(name));
  const came = Array.from(after.users.keys()).filter((name) => !before.users.has(name));
  return [
    { kind: "resync", what: "Reconnected, with a new list", node: after.presences.get(after.you)?.info?.node },
    ...brief([
      ...went.map((who) => ({ kind: "went", who, what: "went meanwhile" })),
      ...came.map((who) => ({ kind: "came", who, what: "came meanwhile" })),
    ]),
  ];
}

function brief(lines) {
  if (lines.length <= TOLD) return lines;
  const sum = (...kinds) => lines.filter((line) => kinds.includes(line.kind)).length;
  return [
    { kind: "went", who: String(sum("went", "less")), what: "went" },
    { kind: "came", who: String(sum("came", "more")), what: "came" },
  ].filter((line) => line.who !== "0");
}

// A user goes with the last connection; of those without a name, each is someone.
function goings(removed, went) {
  const last = new Map(removed.map((each) => [each.user, each.channel]));
  return removed.map(({ channel, user, reason, info }) => {
    const gone = user === null || (went.has(user) && last.get(user) === channel);
    const how = GONE[reason] ?? "has gone";
    return { kind: gone ? "went" : "less", who: user ?? "Anonymous", what: gone ? how : `· one ${how}`, node: info?.node };
  });
}

function comings(added, came) {
  const seen = new Set();
  return added.map(({ user, info }) => {
    const first = user === null || (came.has(user) && !seen.has(user));
    seen.add(user);
    return { kind: first ? "came" : "more", who: user ?? "Anonymous", what: first ? "came" : "· one more", node: info?.node };
  });
}
