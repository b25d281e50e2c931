// One visitor's websocket in one room. It moves to another node when its own has gone.

const PATIENCE = 3000;
const HEARTBEAT = 10_000;

export class Connection {
  // onState(state, node): "connecting" or "connected"; onMessage(type, payload).
  constructor({ room, user, fleet, onState, onMessage }) {
    Object.assign(this, { room, user, fleet, onState, onMessage });
    this.node = null; // the number of the node that it is on, or was
    this.failures = 0;
    this.ended = false;
    this.open(fleet.home);
  }

  get connected() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(text) {
    this.socket.send(text);
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

  open(number) {
    const node = this.fleet.find(number);
    const base = node ? this.fleet.base(node) : location.origin;
    const query = new URLSearchParams({ view: "1" });
    if (this.user !== null) query.set("user", this.user);
    const url = `${base.replace(/^http/, "ws")}/ws/${encodeURIComponent(this.room)}?${query}`;

    this.trying = number;
    this.onState("connecting", this.node);
    const socket = (this.socket = new WebSocket(url));
    this.timer = setTimeout(() => this.lost(), PATIENCE);
    socket.onopen = () => {
      clearTimeout(this.timer);
      this.failures = 0;
      this.node = number;
      this.timer = setInterval(() => socket.send('"heartbeat"'), HEARTBEAT);
      this.onState("connected", number);
    };
    socket.onmessage = (event) => {
      const { type, payload } = JSON.parse(event.data);
      this.onMessage(type, payload);
    };
    socket.onclose = () => this.lost();
  }

  drop() {
    clearTimeout(this.timer); // an interval's too
    const socket = this.socket;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.socket = null;
  }

  lost() {
    this.drop();
    if (this.ended) return;
    this.failures++;
    this.onState("connecting", this.node);
    // At once the first time, later more slowly, and never in step with others.
    const wait = this.failures === 1 ? 100 : Math.min(5000, 300 * 2 ** Math.min(this.failures, 5));
    this.timer = setTimeout(() => {
      const [next] = this.fleet.candidates(this.trying);
      this.open(next?.node ?? this.fleet.home);
    }, wait * (0.5 + Math.random()));
  }
}
