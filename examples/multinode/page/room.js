// The room as it is drawn: who is here, who came and went, and what was said.
import { avatar, byId, element, plural } from "./dom.js";

const KEPT_MESSAGES = 300;
const KEPT_EVENTS = 30;

export class RoomView {
  constructor(room, user) {
    this.room = room;
    this.user = user;
    this.revision = 0;
    this.lastSpeaker = undefined;
    byId("room-name").textContent = room;
    byId("room-counts").textContent = "";
    byId("me").textContent = user === null ? "Without a name" : `You are ${user}`;
    byId("members").replaceChildren();
    byId("activity").replaceChildren();
    byId("latest").textContent = "";
    byId("messages").replaceChildren(element("li", "empty", "What is said in this room appears here."));
  }

  // Lists may overtake one another on their way: the revision tells.
  view({ revision, members, lurkers, events, node }) {
    if (revision >= this.revision) {
      const first = this.revision === 0;
      this.revision = revision;
      this.drawMembers(members, first);
      this.drawCounts(members.length, lurkers);
    }
    for (const event of events) this.drawEvent(event, node);
  }

  drawCounts(people, lurkers) {
    const anonymous = lurkers > 0 ? `, ${lurkers} anonymous` : "";
    byId("room-counts").textContent = plural(people, "person", "people") + anonymous;
    byId("tab-people").textContent = people + lurkers;
    byId("nobody").hidden = people > 0;
    const line = byId("lurkers");
    line.hidden = lurkers === 0;
    line.replaceChildren(avatar(null), plural(lurkers, "anonymous visitor"));
    document.title = `${this.room} (${people + lurkers}) · rollcall`;
  }

  // Rows are kept as they are where they can, so that nothing jumps.
  drawMembers(members, first) {
    const list = byId("members");
    const rows = new Map(Array.from(list.children, (row) => [row.dataset.id, row]));
    let at = null;
    for (const { id, connections } of members) {
      let row = rows.get(id);
      rows.delete(id);
      if (!row) {
        row = this.newMember(id);
        row.classList.toggle("new", !first);
      }
      const count = row.querySelector(".connections");
      count.textContent = plural(connections, "connection");
      count.classList.toggle("many", connections > 1);
      const next = at ? at.nextSibling : list.firstChild;
      if (next !== row) list.insertBefore(row, next);
      at = row;
    }
    for (const row of rows.values()) row.remove();
  }

  newMember(id) {
    const name = element("span", "member-name", id);
    name.title = id;
    const line = element("span", "member-line", name);
    if (id === this.user) line.append(element("span", "you", "you"));
    const row = element("li", "", avatar(id), element("span", "member", line, element("span", "connections")));
    row.dataset.id = id;
    return row;
  }

  drawEvent({ id, kind, reason }, node) {
    const came = kind === "came";
    const who = element("strong", "", id ?? "Anonymous");
    const sign = element("span", "sign", came ? "+" : "−");
    sign.setAttribute("aria-hidden", "true");
    const verb = came ? " came" : reason ? ` went, ${reason}` : " went";
    const by = element("span", "by", `node ${node}`);
    by.title = `node ${node} made this change`;
    const row = element("li", kind, sign, element("span", "what", who, verb), by);
    const list = byId("activity");
    list.prepend(row);
    while (list.children.length > KEPT_EVENTS) list.lastChild.remove();
    byId("latest").textContent = `${who.textContent}${verb}`;
  }

  say({ user, text }) {
    const again = user === this.lastSpeaker;
    const line = element("p", "text", text);
    let row;
    if (again) {
      row = element("li", "message again", element("span"), line);
    } else {
      const now = new Date();
      const time = element("time", "", now.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
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
