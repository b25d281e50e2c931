// The page: a lobby, a room, and the fleet beside them.
import { Connection } from "./connection.js";
import { byId } from "./dom.js";
import { Fleet } from "./fleet.js";
import { Keys } from "./keys.js";
import { Lobby } from "./lobby.js";
import { RoomView } from "./room.js";

const screen = document.body.dataset;
let connection = null;
let view = null;

const fleet = new Fleet({
  current: () => (connection?.connected ? connection.node : null),
  onSilent: () => connection?.abandon(),
  onChange: showWhere,
});
const lobby = new Lobby({ base, onJoin: join });

function base() {
  const [best] = fleet.candidates();
  const home = fleet.find(fleet.home);
  return !best || home?.state === "running" ? location.origin : fleet.base(best);
}

// In a corner of the page: which node it is on, and how that is.
function showWhere() {
  const [state, text] = whereabouts();
  byId("send").ariaDisabled = String(state !== "connected"); // so that it keeps the focus
  const where = byId("where");
  if (where.dataset.state !== state) where.dataset.state = state;
  const line = byId("where-text");
  if (line.textContent !== text) line.textContent = text;
}

function whereabouts() {
  if (!connection) return ["idle", fleet.answers ? `node ${fleet.home}` : "no node answers"];
  const away = fleet.answers && !fleet.redis;
  const on = `on node ${connection.node}`;
  if (connection.connected) return away ? ["stale", `${on} · no Redis`] : ["connected", on];
  if (away) return ["connecting", "waiting for Redis…"];
  return ["connecting", connection.node ? "reconnecting…" : "connecting…"];
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
        if (before !== null) view.note(before === node ? `back on node ${node}` : `node ${before} was lost; now on node ${node}`);
        before = node;
      }
      keys.reset();
      fleet.draw();
      showWhere();
    },
    onMessage(type, payload) {
      if (type === "snapshot") view.snapshot(payload);
      else if (type === "diff") follow(payload);
      else if (type === "message") view.say(payload);
    },
  });
  showWhere();
  byId("room-name").focus();
}

// A diff always fits. If one does not, a new snapshot mends it.
function follow(diff) {
  try {
    view.diff(diff);
  } catch (err) {
    console.error("a diff that does not fit:", err.message);
    connection.lost();
  }
}

function leave() {
  connection.close();
  history.replaceState(null, "", `#room=${encodeURIComponent(connection.room)}`);
  lobby.choose(connection.room, connection.user);
  connection = view = null;
  screen.screen = "lobby";
  showTab("talk");
  document.title = "rollcall";
  showWhere();
  byId("join-button").focus();
}

function showTab(tab) {
  screen.tab = tab;
  for (const each of document.querySelectorAll(".tabs button")) each.setAttribute("aria-current", String(each.dataset.tab === tab));
}

const keys = new Keys(byId("line"), (typing) => connection?.send(JSON.stringify({ type: "typing", payload: typing })));
byId("leave").addEventListener("click", leave);
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const line = byId("line");
  const text = line.value.trim();
  if (!text || byId("send").ariaDisabled === "true") return; // it stays until it can be sent
  connection.send(text);
  line.value = "";
  keys.reset();
});
addEventListener("online", () => connection?.hurry());
document.addEventListener("visibilitychange", () => document.hidden || connection?.hurry());
addEventListener("pagehide", () => connection?.sleep());
addEventListener("pageshow", (event) => {
  if (event.persisted) connection?.wake();
});
addEventListener("hashchange", () => location.reload()); // another address was typed in
for (const each of document.querySelectorAll(".tabs button")) each.addEventListener("click", () => showTab(each.dataset.tab));
showTab("talk");
document.querySelector(".explain").open = matchMedia("(min-width: 1080px) and (min-height: 1040px)").matches;

const hash = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
const room = hash.get("room");
const name = hash.get("name");
if (room) lobby.choose(room, name);
await fleet.poll();
if (room && name !== null) lobby.join(name);
else if (room && hash.has("anonymous")) lobby.join(null);
fleet.start();
