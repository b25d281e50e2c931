// What the nodes do, drawn as it happens: each second the page asks every node
// that runs for its metrics, and draws what all of them did since.
import { byId, element } from "./dom.js";

const POLL = 1000;
const PATIENCE = 2000;
const SHOWN = 120; // samples

const CHARTS = [
  { id: "joins", title: "Joins", unit: "/s", of: (d) => d.rollcall_joins_total / d.seconds },
  { id: "leaves", title: "Leaves", unit: "/s", of: (d) => d.rollcall_leaves_total / d.seconds },
  { id: "sends", title: "Messages sent", unit: "/s", of: (d) => d.rollcall_sends_total / d.seconds },
  { id: "deliveries", title: "Messages delivered", unit: "/s", of: (d) => d.rollcall_deliveries_total / d.seconds },
  {
    id: "latency", title: "Mean wait for a write", unit: " ms",
    of: (d) => (1000 * d["write sum"]) / d["write count"], // NaN where there was none
  },
  { id: "presences", title: "Presences", unit: "", of: (_, now) => now.rollcall_presences },
];

const SVG = "http://www.w3.org/2000/svg";

const shape = (tag) => document.createElementNS(SVG, tag);

// A chart is the latest value in words, and a line of the last ones.
class Chart {
  values = [];

  constructor({ id, title, unit, of }) {
    Object.assign(this, { unit, of });
    this.value = element("span", "value");
    this.value.id = id;
    this.silence();
    this.peak = element("span", "peak", "\u00a0");
    const svg = shape("svg");
    svg.setAttribute("viewBox", `0 0 ${SHOWN - 1} 100`);
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true"); // the value is beside it in words
    this.area = shape("polygon");
    this.line = shape("polyline");
    svg.append(this.area, this.line);
    byId("charts").append(element("figure", "chart",
      element("figcaption", "", element("h2", "", title), this.value),
      element("div", "scale", this.peak),
      svg,
      element("div", "scale", element("span", "", "2 minutes ago"), element("span", "", "now")),
    ));
  }

  words(value) {
    return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 }) + this.unit;
  }

  silence() {
    this.value.textContent = "–";
  }

  add(value) {
    const known = Number.isFinite(value);
    this.values.push(known ? value : (this.values.at(-1) ?? 0));
    if (this.values.length > SHOWN) this.values.shift();
    if (known) this.value.textContent = this.words(value);
    const peak = Math.max(...this.values);
    this.peak.textContent = `up to ${this.words(peak)}`;
    const first = SHOWN - this.values.length;
    const points = this.values.map((v, i) => `${first + i},${(100 - (100 * v) / (peak || 1)).toFixed(2)}`);
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", [`${first},100`, ...points, `${SHOWN - 1},100`].join(" "));
  }
}

// parse sums the samples of each metric over its labels. Of the scripts it takes
// the one that writes.
function parse(text) {
  const found = {};
  for (const line of text.split("\n")) {
    const m = /^(rollcall_\w+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!m) continue;
    const [, metric, labels = "", value] = m;
    const script = /^rollcall_script_duration_seconds_(sum|count)$/.exec(metric);
    if (script && !labels.includes('script="write"')) continue;
    const name = script ? `write ${script[1]}` : metric;
    found[name] = (found[name] ?? 0) + Number(value);
  }
  return found;
}

async function get(url) {
  const response = await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok) throw new Error(response.statusText);
  return response;
}

// The node's address under the host name by which this page came.
const base = (node) => `${location.protocol}//${location.hostname}:${new URL(node.url).port}`;

let nodes = [];

// fleet asks the node that served the page, and where that is silent any other.
async function fleet() {
  for (const at of [location.origin, ...nodes.map(base)]) {
    try {
      const report = await (await get(`${at}/fleet`)).json();
      nodes = report.nodes;
      return report;
    } catch {
      // the next one may know
    }
  }
  return null;
}

function show(state, text) {
  byId("where").dataset.state = state;
  if (byId("state").textContent !== text) byId("state").textContent = text; // it is read aloud
}

const before = new Map(); // node → what it told last, and when

// ask returns what a node has and, since it was last asked, what it did. A node
// that has started again counts from zero.
async function ask(node) {
  const now = parse(await (await get(`${base(node)}/metrics`)).text());
  const at = performance.now();
  const last = before.get(node.node);
  before.set(node.node, { now, at });
  if (!last) return { now, did: null };
  const did = {};
  for (const [name, value] of Object.entries(now)) {
    const was = last.now[name] ?? 0;
    did[name] = value < was ? value : value - was;
  }
  return { now, did, seconds: (at - last.at) / 1000 };
}

const charts = CHARTS.map((c) => new Chart(c));

async function poll() {
  const report = await fleet();
  const running = report ? nodes.filter((n) => n.state === "running") : [];
  const told = (await Promise.allSettled(running.map(ask))).filter((r) => r.status === "fulfilled").map((r) => r.value);
  if (told.length === 0) {
    for (const chart of charts) chart.silence();
    return show("crashed", "no node answers");
  }
  const all = told.length === nodes.length && report.redis;
  show(all ? "connected" : "stale", `${told.length} of ${nodes.length} nodes ${report.redis ? "answer" : "· no Redis"}`);
  const sum = (parts) => parts.reduce((all, part) => {
    for (const [name, value] of Object.entries(part)) all[name] = (all[name] ?? 0) + value;
    return all;
  }, {});
  const counted = told.filter((r) => r.did);
  if (counted.length === 0) return;
  const did = sum(counted.map((r) => r.did));
  did.seconds = Math.max(...counted.map((r) => r.seconds));
  const now = sum(told.map((r) => r.now));
  for (const chart of charts) chart.add(chart.of(did, now));
}

for (;;) {
  await poll();
  await new Promise((done) => setTimeout(done, POLL));
}
