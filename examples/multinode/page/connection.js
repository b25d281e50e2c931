// One visitor's websocket in one room. It moves to another node when its own has gone.

const PATIENCE = 4000;
const HEARTBEAT = 10_000;
const STEADY = 5000; // a connection that has lasted so long was a success

export class Connection {
  // onState(state, node): "connecting" or "connected", which is when the node has
  // said who is in the room; onMessage(type, payload).
  constructor({ room, user, fleet, onState, onMessage }) {
    Object.assign(this, { room, user, fleet, onState, onMessage });
    this.node = null; // the number of the node that it is on, or was
    this.failures = 0;
    this.ended = false;
    this.open(fleet.home);
  }

  get connected() {
    return this.since !== null && this.socket?.readyState === WebSocket.OPEN;
  }

  send(text) {
    if (this.connected) this.socket.send(text);
  }

  close() {
    this.ended = true;
    this.drop();
  }

  // A page that one has left may be kept for the way back. Meanwhile nobody is here.
  sleep() {
    this.drop();
  }

  wake() {
    this.open(this.node ?? this.fleet.home);
  }

  // The node answers nothing any more, though its socket may look open.
  abandon() {
    if (this.connected) this.lost();
  }

  // Someone looks, or the network is back: what waits for its next try need not.
  hurry() {
    if (this.waiting) this.retry();
  }

  open(number) {
    const node = this.fleet.find(number);
    const base = node ? this.fleet.base(node) : location.origin;
    const query = new URLSearchParams({ presence: "off" }); // the list comes by snapshot and diffs
    if (this.user !== null) query.set("user", this.user);
    const url = `${base.replace(/^http/, "ws")}/ws/${encodeURIComponent(this.room)}?${query}`;

    this.drop();
    this.trying = number;
    this.onState("connecting", this.node);
    const socket = (this.socket = new WebSocket(url));
    this.timer = setTimeout(() => this.lost(), PATIENCE);
    socket.onmessage = (event) => {
      const { type, payload } = JSON.parse(event.data);
      if (type === "snapshot") this.arrived(payload.presences.find((each) => each.channel === payload.you)?.info?.node ?? number);
      this.onMessage(type, payload);
    };
    socket.onclose = () => this.lost();
  }

  arrived(number) {
    clearTimeout(this.timer);
    this.timer = setInterval(() => this.send('"heartbeat"'), HEARTBEAT);
    this.since = performance.now();
    this.node = number;
    this.onState("connected", number);
  }

  drop() {
    clearTimeout(this.timer); // an interval's too
    this.since = null;
    this.waiting = false;
    const socket = this.socket;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
    this.socket = null;
  }

  lost() {
    if (this.since !== null && performance.now() - this.since > STEADY) this.failures = 0;
    this.drop();
    if (this.ended) return;
    this.failures++;
    this.waiting = true;
    this.onState("connecting", this.node);
    // Soon the first time, later more slowly, and never in step with others.
    const wait = Math.min(5000, 100 * 2 ** (this.failures - 1));
    this.timer = setTimeout(() => this.retry(), wait * (0.5 + Math.random()));
  }

  retry() {
    const [next] = this.fleet.candidates(this.trying);
    this.open(next?.node ?? this.fleet.home);
  }
}
