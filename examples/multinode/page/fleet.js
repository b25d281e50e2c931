// The fleet as one node reports it, and what can be done to each node.
// Any node answers for all; when the one that was asked is silent, the next is.
import { byId, button, element, plural, showProblem } from "./dom.js";

const POLL = 1200;
const PATIENCE = 2000;

export class Fleet {
  nodes = [];
  maxAge = 0;
  lease = 0;
  sweep = 0;
  freeze = 20;
  answers = false; // some node does
  redis = true; // it answers that node

  // current() is the node that the page's websocket is on, or null; onSilent
  // is told when that one does not answer; onChange after every report.
  constructor({ current, onSilent, onChange }) {
    Object.assign(this, { current, onSilent, onChange, home: null, missed: 0 });
  }

  async start() {
    for (;;) {
      await this.poll();
      await new Promise((done) => setTimeout(done, POLL));
    }
  }

  // The node's address under the host name by which this page came.
  base(node) {
    if (node.node === this.home) return location.origin;
    return `${location.protocol}//${location.hostname}:${new URL(node.url).port}`;
  }

  find(number) {
    return this.nodes.find((n) => n.node === number);
  }

  // Where to connect, best first: the nodes that run, in random order so that
  // the visitors of a node that has gone spread out; never `except` first.
  candidates(except) {
    const rank = (n) => (n.state === "running" ? 0 : 2) + (n.node === except ? 1 : 0);
    return this.nodes
      .map((n) => ({ n, key: rank(n) + Math.random() / 2 }))
      .sort((a, b) => a.key - b.key)
      .map(({ n }) => n);
  }

  async poll() {
    const on = this.current();
    const asked = [...new Set([on, this.home, ...this.nodes.map((n) => n.node)])].filter((n) => n != null);
    if (asked.length === 0) asked.push(null); // the first time: the node that served the page
    for (const number of asked) {
      const node = this.find(number);
      if (node && node.state !== "running" && number !== on) continue;
      const report = await this.ask(node ? this.base(node) : location.origin);
      if (number !== null && number === on && number === this.current()) {
        this.missed = report ? 0 : this.missed + 1;
        if (this.missed >= 2) {
          this.missed = 0;
          this.onSilent();
        }
      }
      if (report) return this.take(report);
    }
    this.take(null);
  }

  async ask(base) {
    try {
      const response = await fetch(`${base}/fleet`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      return response.ok ? await response.json() : null;
    } catch {
      return null;
    }
  }

  take(report) {
    if (report) {
      this.home ??= report.self;
      this.nodes = report.nodes;
      this.maxAge = report.max_age;
      this.lease = report.lease;
      this.sweep = report.sweep;
      this.freeze = report.freeze;
      this.redis = report.redis;
    }
    this.answers = report !== null;
    this.draw();
    this.onChange();
  }

  async act(node, action) {
    showProblem(byId("fleet-problem"), "");
    const through = this.find(this.current()) ?? this.candidates()[0] ?? node;
    try {
      const response = await fetch(`${this.base(through)}/fleet/${node.node}/${action}`, {
        method: "POST",
        signal: AbortSignal.timeout(PATIENCE),
      });
      if (!response.ok) {
        const answer = await response.json().catch(() => ({}));
        throw new Error(answer.error ?? `the fleet answered ${response.status}`);
      }
    } catch (err) {
      showProblem(byId("fleet-problem"), `Could not ${action} node ${node.node}: ${err.message}.`);
    }
    await this.poll();
  }

  draw() {
    const list = byId("nodes");
    const up = this.nodes.filter((n) => n.state === "running").length;
    byId("fleet-summary").textContent = this.answers ? `${up} of ${this.nodes.length} running` : "no node answers";
    byId("tab-fleet").textContent = `${up}/${this.nodes.length}`;
    const trouble = this.trouble();
    const told = byId("trouble");
    if (told.textContent !== trouble) showProblem(told, trouble); // it is read aloud
    if (this.maxAge) for (const at of document.querySelectorAll("[data-max-age]")) at.textContent = `max age (${seconds(this.maxAge)})`;
    for (const at of document.querySelectorAll("[data-freeze]")) at.textContent = seconds(this.freeze);
    for (const node of this.nodes) {
      let card = list.querySelector(`[data-node="${node.node}"]`);
      if (!card) list.append((card = this.newCard(node)));
      this.fill(card, this.answers ? node : { ...node, state: "silent" });
    }
  }

  trouble() {
    if (this.nodes.length > 0 && !this.answers) return "No node answers, so that none can start another. The page goes on asking; the example may have to be started again.";
    return this.redis ? "" : "Redis does not answer. Lists stay as they were, and nobody can come in until it does.";
  }

  newCard(node) {
    const card = element("li", "node");
    card.dataset.node = node.node;
    const link = element("a", "address", `${location.hostname}:${new URL(node.url).port}`);
    link.target = "_blank";
    link.rel = "noopener";
    const led = element("span", "led");
    led.setAttribute("aria-hidden", "true");
    card.append(
      element("div", "node-head", led, element("strong", "", `node ${node.node}`), element("span", "state")),
      element("div", "node-facts", link, element("span", "facts")),
      element("p", "node-note"),
      element("div", "node-actions"),
    );
    return card;
  }

  fill(card, node) {
    const mine = node.node === this.current();
    card.classList.toggle("mine", mine);
    card.dataset.state = node.state;
    card.querySelector(".state").textContent = node.state;
    const mark = card.querySelector(".mark");
    if (mine && !mark) card.querySelector(".node-head").append(element("span", "mark", "this page"));
    if (!mine) mark?.remove();
    const link = card.querySelector(".address");
    link.href = `${this.base(node)}/${location.hash.replace(/&(name=[^&]*|anonymous)/, "")}`;
    link.setAttribute("aria-label", `Open another page on node ${node.node}`);
    card.querySelector(".facts").textContent = this.facts(node);
    const note = card.querySelector(".node-note");
    note.textContent = this.note(node);
    note.hidden = !note.textContent;
    this.fillActions(card, node);
  }

  facts(node) {
    if (node.state === "running" || node.state === "frozen" || node.state === "draining") return plural(node.connections, "connection");
    return node.state === "silent" ? "" : "gone";
  }

  note(node) {
    const left = Math.ceil(Math.min(this.lease, this.maxAge) + this.sweep - node.since);
    switch (node.state) {
      case "frozen":
        return `Asleep with its sockets open; wakes in ${seconds(Math.max(0, Math.ceil(this.freeze - node.since)))}.`;
      case "crashed":
        if (!this.redis) return "Nobody said goodbye. Those it held are swept once Redis answers.";
        return left > 0
          ? `Nobody said goodbye. Those it held are swept in ${seconds(left)} at the latest.`
          : "Nobody said goodbye. Those it held were swept.";
      case "draining":
        return "Taking its visitors out of their rooms.";
      case "drained":
        return "It said goodbye: those it held left at once.";
      case "running":
        return node.alive === false ? "Its sign of life in Redis is overdue." : "";
    }
    return "";
  }

  // Buttons are replaced only when the choice changes, so that focus stays.
  fillActions(card, node) {
    const running = node.state === "running";
    const kind = running ? "running" : node.state === "crashed" || node.state === "drained" ? "stopped" : "none";
    const actions = card.querySelector(".node-actions");
    if (actions.dataset.kind === kind) return;
    actions.dataset.kind = kind;
    const add = (name, text) => {
      const b = button(name, text, async () => {
        if (actions.ariaBusy === "true") return; // disabled, it would lose the focus
        actions.ariaBusy = "true";
        await this.act(node, name);
        actions.ariaBusy = "false";
      });
      b.setAttribute("aria-label", `${text}: node ${node.node}`);
      return b;
    };
    const choices = {
      running: () => [add("crash", "Crash"), add("freeze", `Freeze ${seconds(this.freeze)}`), add("drain", "Drain")],
      stopped: () => [add("start", "Start again")],
      none: () => [],
    };
    const hadFocus = actions.contains(document.activeElement);
    actions.replaceChildren(...choices[kind]());
    actions.ariaBusy = "false"; // with what was chosen before
    actions.hidden = kind === "none";
    if (hadFocus) {
      card.tabIndex = -1;
      (actions.querySelector("button") ?? card).focus();
    }
  }
}

const seconds = (n) => `${n}\u00a0s`;
