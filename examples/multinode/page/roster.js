// Who is in a room: what a snapshot said, and the diffs since.
export class Roster {
  constructor({ you, counts, presences }) {
    this.you = you; // the channel of this page's own presence
    this.counts = counts;
    this.presences = new Map(); // by channel
    this.users = new Map(); // a name's presences, by channel
    for (const each of presences) this.put(each);
  }

  // Fails on a diff that does not fit. Who catches that asks for a new snapshot.
  apply({ counts, removed, added, updated }) {
    for (const each of removed) this.take(each.channel);
    for (const each of added) {
      if (this.presences.has(each.channel)) throw new Error(`${each.channel} is here already`);
      this.put(each);
    }
    for (const each of updated) {
      this.take(each.channel);
      this.put(each);
    }
    this.counts = counts;
    if (this.presences.size !== counts.presences || this.users.size !== counts.users) throw new Error("the counts differ");
  }

  put(presence) {
    this.presences.set(presence.channel, presence);
    if (presence.user === null) return;
    if (!this.users.has(presence.user)) this.users.set(presence.user, new Map());
    this.users.get(presence.user).set(presence.channel, presence);
  }

  take(channel) {
    const presence = this.presences.get(channel);
    if (!presence) throw new Error(`${channel} is not here`);
    this.presences.delete(channel);
    const theirs = this.users.get(presence.user);
    theirs?.delete(channel);
    if (theirs?.size === 0) this.users.delete(presence.user);
  }

  isTyping(user) {
    return Array.from(this.users.get(user).values()).some(types);
  }

  // Who types but for this page: names, and null for each who has none.
  typing() {
    const named = new Set();
    let anonymous = 0;
    for (const each of this.presences.values()) {
      if (each.channel === this.you || !types(each)) continue;
      if (each.user === null) anonymous++;
      else named.add(each.user);
    }
    return [...named, ...Array(anonymous).fill(null)];
  }
}

const types = (presence) => presence.info?.typing === true;
