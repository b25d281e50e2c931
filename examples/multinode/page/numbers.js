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
    id: "latency", title: "Wait for a write to Redis, on average", unit: " ms",
    of: (d) => (1000 * d["write sum"]) / d["write count"], // NaN where there was none
  },
  { id: "presences", title: "Presences", unit: "", of: (_, now) => now.rollcall_presences },
];

const SVG = "http://www.w3.org/2000/svg";

// A chart is the latest value in words, and a line of the last ones.
class Chart {
  values = [];

  constructor({ id, title, unit, of }) {
    Object.assign(this, { unit, of });
    this.output = element("output", "", "–");
    this.output.id = id;
    this.svg = document.createElementNS(SVG, "svg");
    this.svg.setAttribute("viewBox", `0 0 ${SHOWN - 1} 100`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.svg.setAttribute("aria-hidden", "true"); // the value is beside it in words
    this.line = document.createElementNS(SVG, "polyline");
    this.svg.append(this.line);
    this.peak = element("p", "peak", "");
    const caption = element("figcaption", "", element("h2", "", title), this.output);
    byId("charts").append(element("figure", "chart", caption, this.peak, this.svg));
  }

  words(value) {
    return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 1 : 0 }) + this.unit;
  }

  add(value) {
    const known = Number.isFinite(value);
    this.values.push(known ? value : (this.values.at(-1) ?? 0));
    if (this.values.length > SHOWN) this.values.shift();
    if (known) this.output.textContent = this.words(value);
    const peak = Math.max(...this.values);
    this.peak.textContent = `up to ${this.words(peak)}`;
    const top = Math.max(1, peak) * 1.05;
    const first = SHOWN - this.values.length;
    this.line.setAttribute("points", this.values.map((v, i) => `${first + i},${(100 - (100 * v) / top).toFixed(2)}`).join(" "));
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

const before = new Map(); // node → what it told last, and when

// ask returns what a node has and, since it was last asked, what it did. A node
// that has started again counts from zero.
async function ask(node) {
  const url = `${location.protocol}//${location.hostname}:${new URL(node.url).port}/metrics`;
  const now = parse(await (await get(url)).text());
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
  let running;
  try {
    running = (await (await get("fleet")).json()).nodes.filter((n) => n.state === "running");
  } catch {
    byId("state").textContent = "this node does not answer";
    return;
  }
  const told = (await Promise.allSettled(running.map(ask))).filter((r) => r.status === "fulfilled").map((r) => r.value);
  byId("state").textContent = `${told.length} of ${running.length} nodes answer`;
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
