// The room as it is drawn: who is here, who came and went, and what was said.
import { avatar, byId, element, plural } from "./dom.js";
import { newsBetween, newsOf } from "./news.js";
import { Roster } from "./roster.js";

const KEPT_MESSAGES = 300;
const KEPT_NEWS = 30;
const SIGNS = { came: "+", went: "−", more: "+", less: "−", resync: "↻" };

const byName = new Intl.Collator(undefined, { numeric: true }).compare;

export class RoomView {
  constructor(room, user) {
    this.room = room;
    this.user = user;
    this.roster = null;
    this.rows = new Map(); // a name's row in the list
    this.lastSpeaker = undefined;
    this.typing = "";
    byId("room-name").textContent = room;
    byId("room-counts").textContent = "";
    byId("me").textContent = user === null ? "Without a name" : `You are ${user}`;
    byId("members").replaceChildren();
    byId("lurkers").hidden = byId("nobody").hidden = true;
    byId("activity").replaceChildren();
    byId("latest").textContent = "";
    byId("typing").replaceChildren();
    byId("messages").replaceChildren(element("li", "empty", "What is said in this room appears here."));
  }

  // The room as a node has read it, the first time and after each reconnect.
  snapshot(payload) {
    const before = this.roster;
    this.roster = new Roster(payload);
    this.drawMembers(new Set([...this.rows.keys(), ...this.roster.users.keys()]), before !== null);
    this.drawCounts();
    this.drawTyping();
    if (before) this.report(newsBetween(before, this.roster));
  }

  // What has changed since. Fails if it does not fit.
  diff(payload) {
    this.roster.apply(payload);
    const { added, removed, updated } = payload;
    this.drawMembers(new Set([...added, ...removed, ...updated].map((each) => each.user)), true);
    if (added.length + removed.length > 0) this.drawCounts();
    this.drawTyping();
    this.report(newsOf(payload));
  }

  drawCounts() {
    const { users, anonymous, presences } = this.roster.counts;
    byId("room-counts").textContent = plural(users, "person", "people") + (anonymous > 0 ? `, ${anonymous} anonymous` : "");
    byId("tab-people").textContent = users + anonymous;
    byId("people-count").textContent = plural(presences, "connection");
    byId("nobody").hidden = users > 0;
    const line = byId("lurkers");
    line.hidden = anonymous === 0;
    line.replaceChildren(avatar(null), plural(anonymous, "anonymous visitor"));
    document.title = `${this.room} (${users + anonymous}) · rollcall`;
  }

  // Only the rows of these names are touched, so that nothing else moves.
  drawMembers(names, mark) {
    const list = byId("members");
    const order = Array.from(this.roster.users.keys()).sort(byName);
    for (const name of names) {
      if (this.roster.users.has(name)) continue;
      this.rows.get(name)?.remove();
      this.rows.delete(name);
    }
    let next = null;
    for (const name of order.reverse()) {
      if (!this.rows.has(name)) {
        const row = this.newMember(name);
        if (mark) this.markNew(row);
        list.insertBefore(row, next);
        this.rows.set(name, row);
      }
      next = this.rows.get(name);
      if (names.has(name)) this.fillMember(next, name);
    }
  }

  newMember(name) {
    const label = element("span", "member-name", name);
    label.title = name;
    const line = element("span", "member-line", label);
    if (name === this.user) line.append(element("span", "you", "you"));
    return element("li", "", avatar(name), element("span", "member", line, element("span", "connections")));
  }

  // Not left on the row: a list that is hidden and shown would mark it again.
  markNew(row) {
    row.classList.add("new");
    setTimeout(() => row.classList.remove("new"), 2400);
  }

  fillMember(row, name) {
    const presences = Array.from(this.roster.users.get(name).values());
    const nodes = Array.from(new Set(presences.map((each) => each.info?.node).filter(Number.isInteger))).sort((a, b) => a - b);
    const typing = this.roster.isTyping(name);
    const where = nodes.length > 0 ? `${nodes.length > 1 ? "nodes" : "node"} ${nodes.join(", ")}` : "";
    const line = row.querySelector(".connections");
    if (typing) line.replaceChildren("typing", dots());
    else if (presences.length > 1) line.replaceChildren(element("strong", "", plural(presences.length, "connection")), where && ` · ${where}`);
    else line.replaceChildren(where || plural(1, "connection"));
    line.classList.toggle("typing", typing);
    const since = Math.min(...presences.map((each) => Date.parse(each.joined_at)));
    line.title = `here since ${clock(new Date(since))}`;
  }

  drawTyping() {
    const names = this.roster.typing().map((name) => name ?? "Someone");
    const who = names.length > 2 ? `${names.length} people` : names.join(" and ");
    const text = names.length === 0 ? "" : `${who} ${names.length > 1 ? "are" : "is"} typing`;
    if (text === this.typing) return; // the dots go on as they are
    this.typing = text;
    byId("typing").replaceChildren(...(text ? [element("span", "", text), dots()] : []));
  }

  // Lines for the log.
  report(news) {
    const list = byId("activity");
    for (const { kind, who, what, node } of news) {
      const sign = element("span", "sign", SIGNS[kind]);
      sign.setAttribute("aria-hidden", "true");
      const words = who === undefined ? [what] : [element("strong", "", who), ` ${what}`];
      const row = element("li", kind, sign, element("span", "what", ...words));
      if (Number.isInteger(node)) row.append(element("span", "by", `node ${node}`));
      list.prepend(row);
      byId("latest").textContent = row.querySelector(".what").textContent;
    }
    while (list.children.length > KEPT_NEWS) list.lastChild.remove();
  }

  say({ user, text }) {
    const again = user === this.lastSpeaker;
    const line = element("p", "text", text);
    let row;
    if (again) {
      row = element("li", "message again", element("span"), line);
    } else {
      const now = new Date();
      const time = element("time", "", clock(now));
      time.dateTime = now.toISOString();
      const by = element("p", "by", element("strong", "", user ?? "Anonymous"), time);
      row = element("li", "message", avatar(user), by, line);
    }
    this.append(row);
    this.lastSpeaker = user;
  }

  // What happens to this page's own connection.
  note(text) {
    this.append(element("li", "note", text));
    this.lastSpeaker = undefined;
  }

  append(row) {
    const list = byId("messages");
    list.querySelector(".empty")?.remove();
    // Follow the talk, unless someone has scrolled up to read.
    const follow = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
    list.append(row);
    while (list.children.length > KEPT_MESSAGES) list.firstChild.remove();
    if (follow) list.scrollTop = list.scrollHeight;
  }
}

const clock = (time) => time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

function dots() {
  const node = element("span", "dots", element("i"), element("i"), element("i"));
  node.setAttribute("aria-hidden", "true");
  return node;
}
