// How the agent itself is: its loop, its queues, its handlers.

import { ago, byID, el, lasted, number, put, svg } from "./dom.js";

const QUEUES = ["member", "intent", "event", "query"];
const KEPT = 60; // of each queue's last figures

export class Health {
  constructor(model) {
    this.model = model;
    this.box = byID("health");
    this.queues = Object.fromEntries(QUEUES.map((q) => [q, []]));
    this.late = [];
  }

  take(info) {
    const figures = info.figures;
    if (this.begun !== info.begun) { // another run of the agent: it counts anew
      this.begun = info.begun;
      this.late = [];
      for (const q of QUEUES) this.queues[q] = [];
    }
    const one = (name) => figures.find((f) => f.name === "ibuki_" + name);
    const value = (name) => one(name)?.value ?? 0;
    for (const f of figures) {
      const q = this.queues[f.labels?.queue];
      if (f.name !== "ibuki_queue_messages" || !q) continue;
      q.push(f.value);
      if (q.length > KEPT) q.shift();
    }
    const s = info.stats.serf ?? {};
    put(byID("health-aside"), `${info.name}, ibuki ${info.version}, up ${ago(Date.parse(info.now) - Date.parse(info.begun))}`);
    const score = Number(s.health_score ?? 0);
    const drops = figures.filter((f) => f.name === "ibuki_drops_total" && f.value > 0).sort((a, b) => b.value - a.value);
    const facts = [
      ["Health", score === 0 ? "good" : `overloaded (score ${score}): it waits longer before it suspects others`, score > 0],
      ["Event-loop lag", this.lateness(one("loop_lateness_seconds"))],
      ["Failures detected", this.detection(one("detection_seconds"))],
      ["Own suspicions refuted", number(value("false_alarms_refuted_total"))],
      ["Encryption", s.encrypted === "true" ? "on" : "off"],
      ["API streams", `${info.streams} over HTTP, ${value("rpc_streams")} over RPC`],
      ["Ignored packets", drops.length ? drops.slice(0, 3).map((f) => `${number(f.value)} ${f.labels.reason.replaceAll("-", " ")}`).join(", ") : "none"],
    ];
    this.box.replaceChildren(
      el("dl", { class: "facts" }, facts.map(([k, v, bad]) => [el("dt", {}, k), el("dd", { class: bad ? "bad" : null }, v)])),
      this.queueTable(), this.handlerTable(figures) ?? "",
    );
  }

  lateness(f) {
    if (!f || !f.count) return "–";
    const under = (s) => f.buckets.filter((b) => b.most <= s).at(-1)?.count ?? 0;
    this.late.push([f.count, under(0.02)]);
    if (this.late.length > KEPT / 5) this.late.shift();
    const [count, good] = this.late[0];
    const n = f.count - count, bad = n - (under(0.02) - good);
    if (!n) return `${lasted(1000 * f.value / f.count)} on average`;
    return bad === 0 ? "below 20 ms in the last minute" : `over 20 ms in ${number(bad)} of ${number(n)} turns of the last minute`;
  }

  detection(f) {
    if (!f?.count) return "none yet";
    const half = f.buckets.find((b) => b.count >= f.count / 2);
    return `${number(f.count)} (${half ? `median at most ${lasted(half.most * 1000)}` : "slowly"} after the first sign)`;
  }

  queueTable() {
    return el("table", { class: "data" },
      el("caption", { class: "quiet" }, "Messages that wait to be gossiped"),
      el("thead", {}, el("tr", {}, ["Queue", "Waiting", "Peak", "Last 4 minutes"].map((t, i) => el("th", { scope: "col", class: i === 1 || i === 2 ? "n" : null }, t)))),
      el("tbody", {}, QUEUES.map((q) => {
        const v = this.queues[q];
        return el("tr", {}, el("th", { scope: "row" }, q), el("td", { class: "n" }, number(v.at(-1) ?? 0)), el("td", { class: "n" }, number(Math.max(0, ...v))), el("td", {}, spark(v)));
      })));
  }

  handlerTable(figures) {
    const of = (name, handler, result) => figures.find((f) => f.name === "ibuki_" + name && f.labels.handler === handler && (!result || f.labels.result === result))?.value ?? 0;
    const handlers = [...new Set(figures.filter((f) => f.name === "ibuki_handler_waiting").map((f) => f.labels.handler))];
    if (!handlers.length) return null;
    return el("table", { class: "data" },
      el("caption", {}, "Event handlers"),
      el("thead", {}, el("tr", {}, ["Handler", "Good", "Failed", "Timed out", "Dropped", "Waiting"].map((t, i) => el("th", { scope: "col", class: i ? "n" : null }, t)))),
      el("tbody", {}, handlers.map((h) => el("tr", {}, el("th", { scope: "row" }, h), [of("handler_runs_total", h, "ok"), of("handler_runs_total", h, "failed"), of("handler_runs_total", h, "timeout"), of("handler_dropped_total", h), of("handler_waiting", h)].map((n, i) => el("td", { class: i > 0 && i < 4 && n > 0 ? "n bad" : "n" }, number(n)))))));
  }
}

// spark is a small curve; the figures beside it say the same.
function spark(values) {
  const most = Math.max(1, ...values);
  const x = (i) => (i + KEPT - values.length) * 100 / (KEPT - 1);
  const d = values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${(15 - 13 * v / most).toFixed(1)}`).join("");
  return svg("svg", { class: "spark", viewBox: "0 0 100 16", preserveAspectRatio: "none", "aria-hidden": "true", focusable: "false" }, svg("path", { d: d || "M0 15" }));
}
