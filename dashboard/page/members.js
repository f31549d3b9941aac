// The table of members. Only the rows that can be seen exist: with 1,000 members as with three.

import { ago, byID, count, day, el, icon, millis, number, put, setIcon, show } from "./dom.js";
import { STATES, VERDICTS } from "./model.js";

const SPARE = 6; // rows beyond what can be seen, above and below

const COLUMNS = [
  { key: "state", title: "State", sort: true },
  { key: "name", title: "Name", sort: true },
  { key: "where", title: "Address", hint: "where the member is reached" },
  { key: "at", title: "For", sort: true, hint: "how long it has been in this state" },
  { key: "rtt", title: "Round trip", sort: true, hint: "estimated, from this agent's node" },
  { key: "why", title: "Why" },
  { key: "tagText", title: "Tags" },
];

const RANK = Object.fromEntries(STATES.map((s, i) => [s, i]));
const byName = (a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : a.name < b.name ? -1 : 1);

// address puts parameters into the page's address; "" takes one out.
export function address(parameters) {
  const url = new URL(location.href);
  for (const [key, value] of Object.entries(parameters)) {
    if (value) url.searchParams.set(key, value);
    else url.searchParams.delete(key);
  }
  if (url.href !== location.href) history.replaceState(null, "", url);
}

// FIELDS are what a term of the filter can be about.
const FIELDS = {
  name: (m, v) => m.name.toLowerCase().includes(v),
  address: (m, v) => m.where.toLowerCase().includes(v),
  state: (m, v) => m.state === v,
  why: (m, v) => (m.verdict ?? "").includes(v),
  tag: (m, v) => Object.entries(m.tags ?? {}).some(([k, w]) => v === k.toLowerCase() || v === `${k}=${w}`.toLowerCase()),
};

// terms are the filter's: words, FIELD:VALUE, and either with a minus before it for
// those that are not so.
function terms(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const not = word.length > 1 && word.startsWith("-");
    const term = not ? word.slice(1) : word;
    const at = term.indexOf(":");
    const field = FIELDS[term.slice(0, at)];
    const match = field && at < term.length - 1 ? (m) => field(m, term.slice(at + 1)) : (m) => m.search.includes(term);
    return not ? (m) => !match(m) : match;
  });
}

export class Members {
  constructor(model, open) {
    this.model = model;
    this.open = open;
    this.scroller = byID("scroller");
    this.table = byID("table");
    this.body = byID("rows");
    this.pool = []; // the rows that exist, in order
    this.from = 0; // the index of the first of them
    this.list = []; // the members that are shown, in order
    this.only = ""; // a state, or "" for all
    this.terms = [];
    this.sort = "state";
    this.down = false;
    this.current = ""; // the member that the keyboard is at
    this.stale = true; // the list has to be made anew
    this.head();
    this.chips = this.makeChips();
    this.filter = byID("filter");
    this.filter.addEventListener("input", () => {
      this.terms = terms(this.filter.value);
      this.scroller.scrollTop = 0;
      this.keep();
      this.touch();
    });
    this.restore();
    this.scroller.addEventListener("scroll", () => this.onchange?.(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(this.scroller);
    this.body.addEventListener("keydown", (e) => this.key(e));
    this.body.addEventListener("focusin", (e) => {
      const row = e.target.closest("tr");
      if (row?.member) this.current = row.member.name;
    });
    this.body.addEventListener("focusout", () => this.touch());
    this.body.addEventListener("click", (e) => {
      const row = e.target.closest("tr");
      if (row?.member) this.open(row.member.name);
    });
    this.measure();
  }

  // restore shows what the page's address says, so that a link shows what its sender saw.
  restore() {
    const said = new URLSearchParams(location.search);
    this.filter.value = said.get("filter") ?? "";
    this.terms = terms(this.filter.value);
    if (STATES.includes(said.get("state"))) this.choose(said.get("state"));
    if (COLUMNS.some((c) => c.sort && c.key === said.get("sort"))) this.order(said.get("sort"));
  }

  // keep puts what is shown into the page's address.
  keep() {
    address({ filter: this.filter.value.trim(), state: this.only, sort: this.sort === "state" ? "" : this.sort });
  }

  // touch says that the list has to be made anew before the next picture.
  touch() {
    this.stale = true;
    this.onchange?.();
  }

  measure() {
    this.row = parseFloat(getComputedStyle(this.scroller).getPropertyValue("--row")) || 36;
    this.height = this.scroller.clientHeight;
    this.onchange?.();
  }

  head() {
    this.heads = COLUMNS.map((c) => {
      const inside = c.sort
        ? el("button", { type: "button", title: c.hint, onclick: () => this.order(c.key) }, c.title, el("span", { class: "arrow", "aria-hidden": "true" }))
        : el("span", { title: c.hint }, c.title);
      return el("th", { role: "columnheader", scope: "col", class: "c-" + c.key, title: c.hint }, inside);
    });
    byID("table-head").append(...this.heads);
    this.mark();
  }

  order(key) {
    this.down = this.sort === key ? !this.down : false;
    this.sort = key;
    this.mark();
    this.scroller.scrollTop = 0;
    this.keep();
    this.touch();
  }

  mark() {
    COLUMNS.forEach((c, i) => {
      if (!c.sort) return;
      this.heads[i].setAttribute("aria-sort", c.key !== this.sort ? "none" : this.down ? "descending" : "ascending");
    });
  }

  makeChips() {
    const chips = ["", ...STATES].map((state) => {
      const n = el("b", {}, "0");
      const button = el("button", { type: "button", class: "chip s-" + (state || "all"), "aria-pressed": String(state === ""), onclick: () => this.choose(state) },
        state ? icon(state) : null, el("span", {}, state || "all"), n);
      return { state, button, n };
    });
    byID("chips").append(...chips.map((c) => c.button));
    return chips;
  }

  choose(state) {
    this.only = this.only === state ? "" : state;
    for (const c of this.chips) c.button.setAttribute("aria-pressed", String(c.state === this.only));
    this.scroller.scrollTop = 0;
    this.keep();
    this.touch();
  }

  // make chooses and sorts. While the keyboard is in the list its order stays, so that
  // nobody's row is taken away.
  make() {
    const { members, rtt } = this.model;
    const wanted = (m) => (!this.only || m.state === this.only) && this.terms.every((t) => t(m));
    if (this.body.contains(document.activeElement)) {
      const seen = new Set();
      this.list = this.list.map((m) => members.get(m.name)).filter((m) => m && seen.add(m.name));
      for (const m of members.values()) if (!seen.has(m.name) && wanted(m)) this.list.push(m);
      return;
    }
    const sign = this.down ? -1 : 1;
    const compare = {
      state: (a, b) => sign * (RANK[a.state] - RANK[b.state]) || (a.state === "failed" ? b.at - a.at : 0) || byName(a, b),
      name: (a, b) => sign * byName(a, b),
      at: (a, b) => sign * (b.at - a.at) || byName(a, b),
      rtt: (a, b) => sign * ((rtt.get(a.name) ?? Infinity) - (rtt.get(b.name) ?? Infinity) || 0) || byName(a, b),
    }[this.sort];
    this.list = [...members.values()].filter(wanted).sort(compare);
  }

  // draw brings the page up to date.
  draw() {
    if (this.stale) {
      this.stale = false;
      this.make();
      this.totals();
    }
    const top = this.scroller.scrollTop;
    const n = Math.min(this.list.length, Math.ceil(this.height / this.row) + 2 * SPARE);
    const from = Math.max(0, Math.min(Math.floor(top / this.row) - SPARE, this.list.length - n));
    this.window(from, n);
    const height = this.list.length * this.row + "px";
    if (this.body.style.height !== height) this.body.style.height = height;
    const now = this.model.now();
    const reachable = this.pool.findIndex((row, i) => this.list[from + i]?.name === this.current);
    this.pool.forEach((row, i) => this.fill(row, from + i, now, i === Math.max(0, reachable)));
  }

  // window makes there be n rows from an index on. Rows that stay keep their elements.
  window(from, n) {
    const held = this.body.contains(document.activeElement) && document.activeElement.closest("tr");
    const shift = from - this.from;
    this.from = from;
    if (Math.abs(shift) < this.pool.length) {
      const moved = shift > 0 ? this.pool.splice(0, shift) : this.pool.splice(this.pool.length + shift);
      if (shift > 0) this.pool.push(...moved);
      else this.pool.unshift(...moved);
      if (shift > 0) this.body.append(...moved);
      else this.body.prepend(...moved);
      if (held && moved.includes(held)) this.scroller.focus({ preventScroll: true });
    }
    while (this.pool.length < n) {
      const row = this.makeRow();
      this.pool.push(row);
      this.body.append(row);
    }
    while (this.pool.length > n) this.pool.pop().remove();
  }

  makeRow() {
    const cell = (key, ...inside) => el("td", { role: "cell", class: "c-" + key }, ...inside);
    const part = { icon: icon("alive"), state: el("span"), name: el("button", { type: "button", class: "name" }), self: el("span", { class: "self", hidden: true, title: "the node of the agent that shows this" }, "self") };
    for (const c of COLUMNS) part[c.key + "Cell"] = cell(c.key);
    part.stateCell.append(part.icon, part.state);
    part.nameCell.append(part.name, part.self);
    const row = el("tr", { role: "row" }, COLUMNS.map((c) => part[c.key + "Cell"]));
    row.parts = part;
    return row;
  }

  fill(row, index, now, reachable) {
    const m = this.list[index];
    const p = row.parts;
    if (row.index !== index) {
      row.index = index;
      row.style.transform = `translateY(${index * this.row}px)`;
      row.setAttribute("aria-rowindex", index + 2);
      row.classList.toggle("odd", index % 2 === 1);
    }
    if (row.member !== m) {
      row.member = m;
      if (row.dataset.state !== m.state) row.dataset.state = m.state;
      setIcon(p.icon, m.state);
      put(p.state, m.state);
      put(p.name, m.name);
      p.name.title = m.name;
      show(p.self, m.name === this.model.node);
      put(p.whereCell, m.where);
      p.whereCell.title = m.where;
      put(p.tagTextCell, m.tagText);
      p.tagTextCell.title = m.tagText;
      p.atCell.title = m.at ? "since " + day(new Date(m.at)) : "not known";
    }
    put(p.atCell, m.at ? ago(now - m.at) : "–");
    put(p.rttCell, m.name === this.model.node || m.status !== "alive" ? "–" : millis(this.model.rtt.get(m.name)));
    const [why, title] = this.why(m);
    put(p.whyCell, why);
    if (p.whyCell.title !== title) p.whyCell.title = title;
    const tab = reachable ? 0 : -1;
    if (p.name.tabIndex !== tab) p.name.tabIndex = tab;
  }

  why(m) {
    const flaps = this.model.past.get(m.name)?.flaps ?? 0;
    const words = [];
    if (m.state === "failed" || m.state === "degraded") words.push(m.verdict || "not known");
    if (flaps) words.push(count(flaps, "flap"));
    const text = words.join(" · ");
    const meaning = m.state === "failed" || m.state === "degraded" ? VERDICTS[m.verdict] : "";
    return [text, meaning ? `${text}: ${meaning}` : text];
  }

  totals() {
    const counts = this.model.counts();
    const all = this.model.members.size;
    for (const c of this.chips) {
      const n = c.state ? counts[c.state] : all;
      put(c.n, number(n));
      c.button.classList.toggle("none", n === 0);
    }
    this.table.setAttribute("aria-rowcount", this.list.length + 1);
    put(byID("members-foot"), this.list.length === all ? count(all, "member") : `${number(this.list.length)} of ${count(all, "member")}`);
    const empty = byID("members-empty");
    const alone = all === 1 && this.list.length === 1;
    show(empty, all > 0 && (this.list.length === 0 || alone));
    if (alone) {
      const m = this.list[0];
      if (!empty.querySelector("code")) empty.replaceChildren("This node is alone. On another one, ", el("code", {}, "ibuki join " + m.where), " makes them find each other.");
    } else if (this.list.length === 0) put(empty, "No member is like that.");
  }

  key(e) {
    const at = this.list.findIndex((m) => m.name === this.current);
    const page = Math.max(1, Math.floor(this.height / this.row) - 2);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.list.length - 1 }[e.key];
    if (to === undefined || e.altKey || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    const index = Math.max(0, Math.min(to, this.list.length - 1));
    this.current = this.list[index].name;
    const head = this.table.tHead.offsetHeight;
    const top = index * this.row;
    const view = this.scroller.scrollTop;
    if (top < view) this.scroller.scrollTop = top;
    else if (top + this.row + head > view + this.height) this.scroller.scrollTop = top + this.row + head - this.height;
    this.draw();
    this.pool[index - this.from]?.parts.name.focus({ preventScroll: true });
  }

  // focus puts the keyboard back on a member.
  focus(name) {
    this.current = name;
    this.draw();
    const row = this.pool.find((r) => r.member?.name === name);
    (row?.parts.name ?? this.scroller).focus({ preventScroll: true });
  }
}

