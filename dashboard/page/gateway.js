// The gateway beside the agent: its servers, and how far the log of writes is on them.

import { byID, bytes, clock, el, icon, millis, number, put, show } from "./dom.js";

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
    const log = s.cluster.log;
    const facts = [
      log ? ["Log of writes", this.log(log)] : ["Log of writes", "none: searches only"],
      log?.fault ? ["No write is done", el("span", { class: "bad" }, icon("failed"), " " + log.fault)] : null,
      log?.leader ? ["Leader", log.leader] : null,
      ["List of live nodes", this.list(s.live_nodes ?? {})],
      ["Reads", `${number(s.cluster.reads)}, ${number(s.cluster.underway)} under way, half within ${millis(s.cluster.median_ms)}; ${number(s.cluster.hedges)} asked twice, ${number(s.cluster.refused)} refused`],
      s.cluster.gateways?.length ? ["Other gateways", s.cluster.gateways.flatMap((p, i) => [i ? ", " : "", icon(p.reachable ? "alive" : "failed"), ` ${p.node || p.address} ${p.reachable ? "answers" : "does not answer"}`])] : null,
      s.cluster.log?.compare ? ["Servers compared", this.compared(s.cluster.log.compare)] : null,
    ].filter(Boolean);
    this.box.replaceChildren(
      el("dl", { class: "facts" }, facts.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
      el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Servers of the gateway" }, el("table", { class: "data" },
        el("caption", { class: "quiet" }, "Servers"),
        el("thead", {}, el("tr", {}, ["Server", "State", "Entries to apply", "Writes", "Reads", "Half within", "99 of 100"].map((t, i) => el("th", { scope: "col", class: i > 1 ? "n" : null }, t)))),
        el("tbody", {}, volumes.map((v) => this.row(v))))),
    );
  }

  log(l) {
    return [`${bytes(l.bytes)} of ${bytes(l.most)} `, el("meter", { min: 0, max: l.most, value: l.bytes, high: l.most * 0.8, "aria-label": "Log in use" })];
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
    const detail = [v.server !== "up" ? "server " + v.server : "", v.listed ? "" : "not alive by the list", v.behind ? "lacks writes" : "", v.position && v.position.state !== "up" ? v.position.state : "", v.fault ?? ""].filter(Boolean).join(", ");
    return el("tr", {},
      el("th", { scope: "row" }, v.address, v.slices?.length ? el("span", { class: "note" }, " " + v.slices.join(", ")) : null),
      el("td", {}, icon(ICONS[v.state] ?? "left"), " ", v.state, detail && v.state !== "active" ? el("span", { class: "note" }, " " + detail) : null),
      el("td", { class: "n" }, v.position ? number(v.waiting) : "–"), el("td", { class: "n" }, number(v.delivered)),
      el("td", { class: "n" }, number(v.answers)), el("td", { class: "n" }, millis(v.median_ms)), el("td", { class: "n" }, millis(v.p99_ms)));
  }
}
