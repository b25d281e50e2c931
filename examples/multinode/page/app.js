// The page: a lobby, a room, and the fleet beside them.
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Lobby } from "./lobby.js";
import { RoomView } from "./room.js";

const screen = document.body.dataset;
let connection = null;
let view = null;

const fleet = new Fleet({
  current: () => (connection?.connected ? connection.node : null),
  onSilent: () => connection?.abandon(),
  onChange: (answered) => {
    if (!connection) showWhere("idle", answered ? `node ${fleet.home}` : "no node answers");
  },
});
const lobby = new Lobby({ base, onJoin: join });

function base() {
  const [best] = fleet.candidates();
  const home = fleet.find(fleet.home);
  return !best || home?.state === "running" ? location.origin : fleet.base(best);
}

function showWhere(state, text) {
  const where = byId("where");
  if (where.dataset.state !== state) where.dataset.state = state;
  const line = byId("where-text");
  if (line.textContent !== text) line.textContent = text;
}

function join(room, user) {
  // The hash brings a reload back to the same place.
  const who = user === null ? "anonymous" : `name=${encodeURIComponent(user)}`;
  history.replaceState(null, "", `#room=${encodeURIComponent(room)}&${who}`);
  screen.screen = "room";
  showTab("talk");
  view = new RoomView(room, user);
  let before = null;
  connection = new Connection({
    room,
    user,
    fleet,
    onState(state, node) {
      if (state === "connected") {
        showWhere("connected", `on node ${node}`);
        if (before !== null) view.note(before === node ? `back on node ${node}` : `node ${before} has gone; now on node ${node}`);
        before = node;
      } else {
        showWhere("connecting", node === null ? "connecting…" : `on node ${node} · reconnecting…`);
      }
      byId("composer").querySelector("button").disabled = state !== "connected";
      fleet.draw(true);
    },
    onMessage(type, payload) {
      if (type === "view") view.view(payload);
      else if (type === "message") view.say(payload);
    },
  });
  byId("room-name").focus();
}

function leave() {
  connection.close();
  history.replaceState(null, "", `#room=${encodeURIComponent(connection.room)}`);
  lobby.choose(connection.room, connection.user);
  connection = view = null;
  screen.screen = "lobby";
  showTab("talk");
  document.title = "rollcall";
  showWhere("idle", `node ${fleet.home}`);
  byId("join-button").focus();
}

function showTab(tab) {
  screen.tab = tab;
  for (const each of document.querySelectorAll(".tabs button")) each.setAttribute("aria-current", String(each.dataset.tab === tab));
}

byId("leave").addEventListener("click", leave);
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = byId("line");
  const text = line.value.trim();
  if (!text || !connection.connected) return;
  // The one text that the server keeps to itself.
  if (text !== '"heartbeat"') connection.send(text);
  line.value = "";
});
addEventListener("pagehide", () => connection?.sleep());
addEventListener("pageshow", (event) => {
  if (event.persisted) connection?.wake();
});
for (const each of document.querySelectorAll(".tabs button")) each.addEventListener("click", () => showTab(each.dataset.tab));
showTab("talk");
document.querySelector(".explain").open = matchMedia("(min-width: 1080px) and (min-height: 760px)").matches;

const hash = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
const room = hash.get("room");
const name = hash.get("name");
if (room) lobby.choose(room, name);
await fleet.poll();
if (room && name !== null) lobby.join(name);
else if (room && hash.has("anonymous")) lobby.join(null);
fleet.start();
