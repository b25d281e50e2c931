// The lobby: pick a name and a room, with how many are in each.
import { byId, element, plural, showProblem } from "./dom.js";

const ROOMS = ["garden", "harbour"];
const POLL = 2000;
const FIRST = ["Quiet", "Early", "Amber", "Silver", "Gentle", "Bright", "Swift", "Mellow", "Northern", "Sunny", "Curious", "Patient"];
const SECOND = ["Heron", "Otter", "Linden", "Finch", "Maple", "Wren", "Willow", "Marten", "Plover", "Hazel", "Robin", "Juniper"];

const pick = (list) => list[Math.floor(Math.random() * list.length)];
const bytes = (text) => new TextEncoder().encode(text).length;

export class Lobby {
  // base() is the address of a node that answers; onJoin(room, user or null).
  constructor({ base, onJoin }) {
    Object.assign(this, { base, onJoin });
    this.rooms = byId("rooms");
    byId("name").value = localStorage.getItem("name") ?? `${pick(FIRST)} ${pick(SECOND)}`;
    for (const room of ROOMS) this.offer(room);
    this.choose(ROOMS[0]);

    byId("join").addEventListener("submit", (event) => {
      event.preventDefault();
      this.join(byId("name").value.trim());
    });
    byId("anonymous").addEventListener("click", () => this.join(null));
    this.rooms.addEventListener("change", () => {
      byId("other").value = "";
      this.label();
    });
    byId("other").addEventListener("input", () => this.label());
    setInterval(() => this.count(), POLL);
  }

  offer(room) {
    const input = element("input");
    Object.assign(input, { type: "radio", name: "room", value: room });
    const choice = element("label", "choice", input, element("strong", "", room), element("span", "muted", " "));
    this.rooms.append(choice);
    return choice;
  }

  choose(room, user = null) {
    if (user !== null) byId("name").value = user;
    const input = Array.from(this.rooms.querySelectorAll("input")).find((each) => each.value === room);
    if (input) input.checked = true;
    byId("other").value = input ? "" : room;
    this.label();
    this.count();
  }

  get room() {
    return byId("other").value.trim() || (this.rooms.querySelector(":checked")?.value ?? ROOMS[0]);
  }

  label() {
    const other = byId("other").value.trim();
    if (other) for (const input of this.rooms.querySelectorAll("input")) input.checked = false;
    else if (!this.rooms.querySelector(":checked")) this.rooms.querySelector("input").checked = true;
    byId("join-button").textContent = `Join ${this.room}`;
  }

  join(user) {
    let problem = "";
    let field = byId("name");
    if (user === "") problem = "A name, please, or look in without one.";
    else if (user !== null && bytes(user) > 255) problem = "That name is too long: 255 bytes at most.";
    else if (bytes(this.room) > 255) [problem, field] = ["That room's name is too long: 255 bytes at most.", byId("other")];
    showProblem(byId("join-problem"), problem);
    for (const each of [byId("name"), byId("other")]) each.setAttribute("aria-invalid", String(problem !== "" && each === field));
    if (problem) return field.focus();
    if (user !== null) localStorage.setItem("name", user);
    this.onJoin(this.room, user);
  }

  // How many are in the rooms on offer, while they are on offer.
  async count() {
    if (document.body.dataset.screen !== "lobby" || document.hidden) return;
    for (const choice of this.rooms.children) {
      try {
        const room = encodeURIComponent(choice.querySelector("input").value);
        const response = await fetch(`${this.base()}/rooms/${room}`, { cache: "no-store", signal: AbortSignal.timeout(POLL) });
        if (!response.ok) continue;
        const { members, lurkers } = await response.json();
        choice.querySelector(".muted").textContent = members.length + lurkers ? plural(members.length + lurkers, "visitor") : "nobody yet";
      } catch {
        return; // the next round asks again, another node if need be
      }
    }
  }
}
