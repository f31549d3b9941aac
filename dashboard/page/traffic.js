// User events and queries as they pass.

import { byID, bytes, clock, day, el, icon, put, show } from "./dom.js";
import { gapWords, sync } from "./timeline.js";

const PREVIEW = 160; // characters of a payload

export class Traffic {
  constructor(model) {
    this.model = model;
    this.list = byID("traffic");
    this.items = new Map();
  }

  draw() {
    sync(this.list, this.items, this.model.traffic, (e) => this.item(e));
    const some = this.model.traffic.some((e) => e.kind !== "gap");
    show(byID("traffic-empty"), !some);
    show(byID("traffic-scroll"), this.model.traffic.length > 0);
  }

  // rate says how many passed in the last minute.
  rate() {
    const since = this.model.now() - 60000;
    let n = 0;
    for (let i = this.model.marks.length - 1; i >= 0 && this.model.marks[i].at > since; i--) {
      const k = this.model.marks[i].kind;
      if (k === "event" || k === "query") n++;
    }
    put(byID("traffic-rate"), n ? `${n} in the last minute` : "");
  }

  item(e) {
    const at = new Date(e.at);
    const time = el("time", { datetime: at.toISOString(), title: day(at) }, clock(at));
    const text = e.kind === "gap" ? [gapWords(e)] : [el("span", { class: "kind" }, e.kind), " ", el("b", {}, e.name), " ", payload(e)];
    const li = el("li", { class: "e-" + e.kind }, time, icon(e.kind), el("span", {}, ...text));
    li.size = 0;
    return li;
  }
}

function payload(e) {
  if (e.base64) return el("span", { class: "note" }, bytes(Math.floor(e.base64.length * 3 / 4)) + " that are no text");
  if (!e.payload) return "";
  const short = e.payload.length > PREVIEW ? e.payload.slice(0, PREVIEW) + "…" : e.payload;
  return el("code", { title: e.payload.length > PREVIEW ? e.payload.slice(0, 2000) : null }, short);
}
