// What happened to members: a strip of the last minutes, and the list.

import { ago, byID, clock, day, el, icon, lasted, names, number, put, show, svg } from "./dom.js";

const SHOWN = 200; // entries of a list that exist in the page

const WORDS = {
  joined: ["joined", "joined"], back: ["is back", "are back"], failed: ["failed", "failed"], left: ["left", "left"], leaving: ["is leaving", "are leaving"],
  degraded: ["is degraded", "are degraded"], recovered: ["answers again", "answer again"], changed: ["changed", "changed"], forgotten: ["was forgotten", "were forgotten"],
};
const ICONS = { recovered: "alive" };

const MISSED = {
  "too-old": "this page was away for longer than the agent remembers",
  restarted: "the agent was restarted",
  lost: "the agent could not keep up",
  behind: "this page could not keep up",
};

// gapWords says what is missing.
export function gapWords(e) {
  return `Something was missed here: ${e.missed === null || e.missed === undefined ? "not known how much" : number(e.missed) + (e.missed === 1 ? " record" : " records")} (${MISSED[e.reason] ?? e.reason})`;
}

// LANES of the strip, from the top, with the kinds that are in each.
const LANES = [
  { name: "failed", kinds: ["failed"], icon: "failed" },
  { name: "degraded", kinds: ["degraded"], icon: "degraded" },
  { name: "back", kinds: ["back"], icon: "back" },
  { name: "joined", kinds: ["joined"], icon: "joined" },
  { name: "left", kinds: ["left"], icon: "left" },
  { name: "events", kinds: ["event", "query"], icon: "event" },
];
const LANE = 18; // pixels
const LABEL = 86;
const AXIS = 18;

export class Timeline {
  constructor(model) {
    this.model = model;
    this.list = byID("timeline");
    this.strip = byID("strip");
    this.items = new Map(); // entry → its element
    this.span = byID("span");
    this.span.addEventListener("change", () => this.drawStrip());
    new ResizeObserver(() => this.drawStrip()).observe(this.strip.parentElement);
    this.build();
  }

  build() {
    const height = LANES.length * LANE + AXIS;
    this.strip.style.height = height + "px";
    this.holes = svg("path", { class: "hole" });
    this.strip.append(this.holes);
    this.lanes = LANES.map((lane, i) => {
      const y = i * LANE;
      const use = svg("use", { href: "#i-" + lane.icon, x: 0, y: y + 3, width: 12, height: 12, class: "k-" + lane.icon });
      const label = svg("text", { x: 17, y: y + 13, class: "label" });
      label.textContent = lane.name;
      const line = svg("line", { x1: LABEL, x2: LABEL, y1: y + LANE - 1.5, y2: y + LANE - 1.5, class: "base" });
      const path = svg("path", { class: "mark k-" + lane.icon });
      this.strip.append(use, label, line, path);
      return { ...lane, y, line, path };
    });
    this.ticks = [0, 1, 2, 3].map((i) => {
      const t = svg("text", { y: height - 4, class: "label tick" + (i === 3 ? " last" : "") });
      this.strip.append(t);
      return t;
    });
  }

  // drawStrip draws a bar for each stretch of time: the higher, the more happened.
  drawStrip() {
    const width = this.strip.clientWidth;
    if (!width) return;
    this.drawn = performance.now();
    const span = Number(this.span.value) * 1000;
    const room = width - LABEL - 2;
    const bins = Math.max(20, Math.min(120, Math.floor(room / 5)));
    const size = span / bins;
    const end = Math.ceil(this.model.now() / size) * size; // so that bars move by whole steps
    const begin = end - span;
    const step = room / bins;
    const counts = LANES.map(() => new Array(bins).fill(0));
    const lane = Object.fromEntries(LANES.flatMap((l, i) => l.kinds.map((k) => [k, i])));
    const gaps = [];
    for (let i = this.model.marks.length - 1; i >= 0; i--) {
      const m = this.model.marks[i];
      const bin = Math.floor((m.at - begin) / size);
      if (bin < -1) break; // all before are older
      if (bin < 0) continue;
      if (m.kind === "gap") gaps.push(Math.min(bin, bins - 1));
      else if (lane[m.kind] !== undefined) counts[lane[m.kind]][Math.min(bin, bins - 1)]++;
    }
    this.lanes.forEach((l, i) => {
      let d = "";
      counts[i].forEach((n, bin) => {
        if (!n) return;
        const h = Math.min(LANE - 4, 5 + 3 * Math.log2(n));
        d += `M${(LABEL + bin * step).toFixed(1)} ${(l.y + LANE - 2).toFixed(1)}v${-h.toFixed(1)}h${Math.max(2.5, step - 1.5).toFixed(1)}v${h.toFixed(1)}z`;
      });
      l.path.setAttribute("d", d);
      l.line.setAttribute("x2", width);
    });
    const x = (at) => LABEL + Math.max(0, Math.min(1, (at - begin) / span)) * room;
    let d = gaps.map((bin) => `M${(LABEL + bin * step).toFixed(1)} 0h${step.toFixed(1)}v${LANES.length * LANE}h${-step.toFixed(1)}z`).join("");
    for (const hole of this.model.holes) {
      const to = hole.to || this.model.now();
      if (to > begin) d += `M${x(hole.from).toFixed(1)} 0H${Math.max(x(to), x(hole.from) + 1).toFixed(1)}V${LANES.length * LANE}H${x(hole.from).toFixed(1)}z`;
    }
    this.holes.setAttribute("d", d);
    this.ticks.forEach((t, i) => {
      put(t, i === 3 ? "now" : room < 320 && i > 0 ? "" : ago(span * (3 - i) / 3) + " ago");
      t.setAttribute("x", LABEL + room * i / 3);
    });
  }

  draw() {
    if (performance.now() - (this.drawn ?? -Infinity) > 250) this.drawStrip();
    sync(this.list, this.items, this.model.timeline, (e) => this.item(e));
    show(byID("timeline-empty"), this.model.timeline.length === 0);
    show(byID("timeline-scroll"), this.model.timeline.length > 0);
  }

  item(e) {
    const text = this.text(e);
    const at = new Date(e.at);
    const li = el("li", { class: "e-" + e.kind }, el("time", { datetime: at.toISOString(), title: day(at) }, clock(at)), icon(ICONS[e.kind] ?? e.kind), el("span", {}, ...text));
    li.size = e.names?.length ?? 0;
    return li;
  }

  text(e) {
    if (e.kind === "gap") return [gapWords(e)];
    const [one, many] = WORDS[e.kind];
    const who = e.names.length === 1 ? [el("b", {}, e.names[0]), " ", one] : [el("b", {}, number(e.names.length) + " members"), ` ${many}: ${names(e.names)}`];
    if ((e.kind === "failed" || e.kind === "degraded") && e.verdict) who.push(el("em", {}, e.verdict));
    if (e.kind === "back" && e.away !== null) who.push(` after ${lasted(e.away)}`);
    if (e.flaps) who.push(el("em", {}, e.flaps === 1 ? "flap" : `flap ${e.flaps}`));
    return who;
  }
}

// sync makes a list show the first entries: what is new is put in front, what has grown
// is made again, all else stays as it is.
export function sync(list, items, entries, make) {
  const wanted = entries.slice(0, SHOWN);
  const keep = new Set(wanted);
  for (const [e, item] of items) {
    if (keep.has(e)) continue;
    item.remove();
    items.delete(e);
  }
  let next = list.firstChild;
  for (const e of wanted) {
    let item = items.get(e);
    if (item && item.size !== (e.names?.length ?? 0)) {
      const fresh = make(e);
      if (next === item) next = fresh;
      item.replaceWith(fresh);
      item = fresh;
      items.set(e, item);
    }
    if (!item) {
      item = make(e);
      items.set(e, item);
    }
    if (item === next) next = next.nextSibling;
    else list.insertBefore(item, next);
  }
}
