// What the page knows of the cluster. It has no element of the page in it.

import { natural } from "./dom.js";

// The states in the order in which they matter.
export const STATES = ["failed", "degraded", "leaving", "alive", "left"];

const FLAP = 60000; // who is back so soon after it failed has flapped, in milliseconds
const TOGETHER = 2000; // changes of one kind within so many milliseconds are one entry
const MOST = 500; // entries that are kept of each list
const MARKS = 20000; // single changes that are kept for the strip
const PASTS = 20000; // members of which it is remembered how often they failed
const BUFFER = 10000; // records that may wait for a list of members

export const VERDICTS = {
  crashed: "its host refuses connections: the process has ended",
  silent: "neither it nor its host answers",
  hung: "its host answers, the process does not",
};

// stateOf is the state as it is shown: a member that is degraded is alive, and no better for it.
export function stateOf(m) {
  if (m.degraded && m.status === "alive") return "degraded";
  return m.status === "none" || !m.status ? "left" : m.status;
}

export class Model {
  constructor() {
    this.members = new Map(); // by name
    this.rtt = new Map(); // from this agent's node, in milliseconds
    this.past = new Map(); // name → {failed: time, fails, flaps} as seen by this page
    this.timeline = []; // newest first
    this.traffic = []; // newest first
    this.marks = []; // {at, kind}, oldest first
    this.holes = []; // {from, to}: times of which nothing is known
    this.node = "";
    this.version = 0;
    this.waiting = null; // records since the stream began, until the list is there
    this.offset = 0; // the agent's clock less this one's, in milliseconds
    this.changes = 0; // counts what was taken in
  }

  now() {
    return Date.now() + this.offset;
  }

  // hello begins a stream: the list has to be asked for, and records wait for it.
  hello(r) {
    this.node = r.node;
    this.waiting = [];
    this.changes++;
  }

  // load takes the whole list, and applies again what was told since.
  load(answer) {
    const old = this.members;
    this.members = new Map();
    for (const m of answer.members) {
      this.members.set(m.name, this.keep(m, old.get(m.name)));
    }
    this.version = answer.version;
    const waiting = this.waiting ?? [];
    this.waiting = null;
    for (const r of waiting) if (r.versions[1] > this.version) this.apply(r);
    this.changes++;
  }

  // keep adds to a member what lists are sorted and searched by.
  keep(m, old) {
    m.protocol ??= old?.protocol;
    m.memberlist ??= old?.memberlist;
    m.state = stateOf(m);
    m.order = old?.order ?? natural(m.name);
    m.at = m.since ? Date.parse(m.since) : 0;
    m.where = m.address ? `${m.address.includes(":") ? `[${m.address}]` : m.address}:${m.port}` : "";
    m.tagText = Object.entries(m.tags ?? {}).map(([k, v]) => `${k}=${v}`).join(" ");
    m.search = `${m.name} ${m.where} ${m.tagText} ${m.state} ${m.verdict ?? ""}`.toLowerCase();
    return m;
  }

  // record takes a record of the stream and returns what is to be announced, or "".
  record(r) {
    this.changes++;
    const at = Date.parse(r.time);
    switch (r.type) {
      case "hello":
        this.hello(r);
        return "";
      case "member":
        return this.member(r, at);
      case "event":
      case "query":
        this.mark(at, r.type);
        this.traffic.unshift({ at, kind: r.type, name: r.name, payload: r.payload, base64: r.payload_base64, ltime: r.ltime, key: r.seq });
        if (this.traffic.length > MOST) this.traffic.length = MOST;
        return "";
      case "gap":
        this.gap(at, r);
        return "";
    }
    return "";
  }

  gap(at, r) {
    const entry = { at, kind: "gap", reason: r.reason, missed: r.missed };
    this.timeline.unshift(entry);
    this.traffic.unshift({ ...entry });
    this.mark(at, "gap");
  }

  // apply puts a member's change into the list.
  apply(r) {
    if (r.member.status === "forgotten") this.members.delete(r.member.name);
    else this.members.set(r.member.name, this.keep(r.member, this.members.get(r.member.name)));
  }

  member(r, at) {
    const before = this.members.get(r.member.name);
    if (this.waiting && this.waiting.length < BUFFER) this.waiting.push(r);
    if (this.waiting || r.versions[1] > this.version) this.apply(r);
    const m = r.member;
    const past = this.past.get(m.name) ?? { failed: 0, fails: 0, flaps: 0 };
    const kind = kindOf(r, before);
    let away = null;
    if (kind === "failed") {
      past.failed = at;
      past.fails++;
    } else if (kind === "back") {
      away = past.failed ? at - past.failed : null;
      if (away !== null && away <= FLAP) past.flaps++;
    }
    if (this.past.size >= PASTS && !this.past.has(m.name)) this.past.clear();
    this.past.set(m.name, past);
    this.mark(at, kind);
    this.enter({ at, kind, names: [m.name], verdict: m.verdict ?? "", away, flaps: kind === "back" && away !== null && away <= FLAP ? past.flaps : 0 });
    return kind;
  }

  // enter puts an entry into the timeline, together with the last one of its kind if
  // that has just been: many that join at once are one thing that happened.
  enter(entry) {
    const top = this.timeline[0];
    if (top && top.kind === entry.kind && top.verdict === entry.verdict && !entry.flaps && !top.flaps && entry.at - top.at < TOGETHER) {
      top.names.push(...entry.names);
      top.away = null;
      return;
    }
    this.timeline.unshift(entry);
    if (this.timeline.length > MOST) this.timeline.length = MOST;
  }

  mark(at, kind) {
    this.marks.push({ at, kind });
    if (this.marks.length > MARKS) this.marks.splice(0, MARKS / 10);
  }

  // counts are how many members have each state.
  counts() {
    const n = Object.fromEntries(STATES.map((s) => [s, 0]));
    for (const m of this.members.values()) n[m.state] = (n[m.state] ?? 0) + 1;
    return n;
  }
}

// kindOf says what a record of a member amounts to.
function kindOf(r, before) {
  const now = r.member.status;
  if (now === "forgotten") return "forgotten";
  if (r.was === now) {
    if (r.member.degraded) return before?.degraded ? "changed" : "degraded";
    return before?.degraded ? "recovered" : "changed";
  }
  switch (now) {
    case "alive":
      return r.was === "failed" ? "back" : "joined";
    case "failed":
    case "left":
    case "leaving":
      return now;
  }
  return "changed";
}
