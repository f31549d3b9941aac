// The gateway beside the agent: its servers, and the writes that wait for them.

import { ago, byID, bytes, clock, el, icon, millis, number, put, show } from "./dom.js";

const ICONS = { active: "alive", inactive: "degraded", dead: "failed" };

export class Gateway {
  constructor(model) {
    this.model = model;
    this.panel = byID("gateway");
    this.box = byID("gateway-body");
  }

  none() {
    show(this.panel, false);
  }

  take(g) {
    show(this.panel, true);
    put(byID("gateway-aside"), `${g.address}, asked at ${clock(new Date(g.asked))}`);
    if (!g.reachable) {
      this.box.replaceChildren(el("p", { class: "note bad" }, icon("failed"), " The gateway does not answer: " + g.fault));
      return;
    }
    const s = g.status;
    const volumes = s.cluster?.volumes ?? [];
    const waiting = volumes.reduce((n, v) => n + v.waiting, 0);
    const facts = [
      ["Writes that wait", waiting ? `${number(waiting)} (${bytes(volumes.reduce((n, v) => n + v.waiting_bytes, 0))})` : "none"],
      s.buffer ? ["Buffer", [`${bytes(s.buffer.size)} of ${bytes(s.buffer.most)} `, el("meter", { min: 0, max: s.buffer.most, value: s.buffer.size, high: s.buffer.most * 0.8, "aria-label": "Buffer in use" })]] : ["Buffer", "none: searches only"],
      ["List of live nodes", this.list(s.live_nodes ?? {})],
      ["Reads", `${number(s.cluster.reads)}, ${number(s.cluster.underway)} under way, half within ${millis(s.cluster.median_ms)}; ${number(s.cluster.hedges)} asked twice, ${number(s.cluster.refused)} refused`],
      s.cluster.sequencer ? ["Writes are put in order by", s.cluster.sequencer] : null,
      s.cluster.gateways?.length ? ["Other gateways", s.cluster.gateways.flatMap((p, i) => [i ? ", " : "", icon(p.reachable ? "alive" : "failed"), ` ${p.node || p.address} ${p.reachable ? "answers" : "does not answer"}`])] : null,
      s.cluster.log?.compare ? ["Servers compared", this.compared(s.cluster.log.compare)] : null,
    ].filter(Boolean);
    this.box.replaceChildren(
      el("dl", { class: "facts" }, facts.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
      el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Servers of the gateway" }, el("table", { class: "data" },
        el("caption", { class: "quiet" }, "Servers"),
        el("thead", {}, el("tr", {}, ["Server", "State", "Waiting", "Since", "Kept elsewhere", "Reads", "Half within", "99 of 100"].map((t, i) => el("th", { scope: "col", class: [2, 5, 6, 7].includes(i) ? "n" : null }, t)))),
        el("tbody", {}, volumes.map((v) => this.row(v))))),
    );
  }

  list(l) {
    const faults = [l.missing && "missing", l.fault && `broken (${l.fault})`, l.stale && "stale: the agent has stopped confirming it", l.alone && "names one node only"].filter(Boolean);
    return `${l.alive} of ${l.nodes} alive` + (faults.length ? "; " + faults.join(", ") : "");
  }

  compared(c) {
    const last = (c.last ?? []).flatMap((s) => [
      icon(s.says ? "failed" : s.fault ? "degraded" : "alive"),
      ` ${s.slice}: ${s.says || (s.fault ? "not to the end: " + s.fault : "equal")}, at ${clock(new Date(s.ended))}. `,
    ]);
    return last.length ? last : (c.rate ? "not yet" : "only when somebody asks for it");
  }

  row(v) {
    const detail = [v.server !== "up" ? "server " + v.server : "", v.listed ? "" : "not alive by the list", v.behind ? "behind" : "", v.fault ?? ""].filter(Boolean).join(", ");
    const since = v.waiting_since ? ago(this.model.now() - Date.parse(v.waiting_since)) : "–";
    return el("tr", {},
      el("th", { scope: "row" }, v.address, v.slices?.length ? el("span", { class: "note" }, " " + v.slices.join(", ")) : null),
      el("td", {}, icon(ICONS[v.state] ?? "left"), " ", v.state, detail && v.state !== "active" ? el("span", { class: "note" }, " " + detail) : null),
      el("td", { class: "n" }, v.waiting ? `${number(v.waiting)} (${bytes(v.waiting_bytes)})` : "0"),
      el("td", {}, since),
      el("td", {}, Array.isArray(v.held_by) && v.held_by.length ? v.held_by.join(", ") : "–"),
      el("td", { class: "n" }, number(v.answers)), el("td", { class: "n" }, millis(v.median_ms)), el("td", { class: "n" }, millis(v.p99_ms)));
  }
}
