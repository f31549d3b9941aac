// The page's one loop: what comes in marks parts as changed, and each picture draws those.

import { Gone, Refused, Stream, ask, token, wantsToken } from "./api.js";
import { Detail } from "./detail.js";
import { byID, clock, copying, el, names, number, put, setIcon, show } from "./dom.js";
import { Gateway } from "./gateway.js";
import { Health } from "./health.js";
import { Heat } from "./heat.js";
import { Members } from "./members.js";
import { Model } from "./model.js";
import { Timeline } from "./timeline.js";
import { Traffic } from "./traffic.js";

const BEFORE = 2000; // records from before this page came
const POLL = 4000; // the agent's figures, in milliseconds
const COORDINATES = 10000; // and of round trips, once they are known
const UNKNOWN = 1000; // until then
const HIDDEN = 300000; // a page that nobody sees keeps its stream for so long
const CALM = 4000; // between two announcements to a screen reader

const model = new Model();
const members = new Members(model, (name) => detail.open(name));
const detail = new Detail(model, (name) => members.focus(name));
const timeline = new Timeline(model);
const traffic = new Traffic(model);
const heat = new Heat(model);
const health = new Health(model);
const gateway = new Gateway(model);

// link is the state of the way to the agent.
const link = { state: "connecting", since: Date.now(), told: "" };
let paused = false, pausedAt = 0;

// Drawing.

const dirty = { members: true, lists: true };
let frame = 0;

function redraw(...parts) {
  for (const p of parts) dirty[p] = true;
  if (!frame && !paused) frame = requestAnimationFrame(draw);
}

function draw() {
  frame = 0;
  if (paused) return;
  const begun = performance.now();
  if (dirty.members) {
    dirty.members = false;
    members.draw();
  }
  if (dirty.lists) {
    dirty.lists = false;
    timeline.draw();
    traffic.draw();
  }
  drawn.push(performance.now() - begun);
  if (drawn.length > 2000) drawn.splice(0, 1000);
}

// drawn is how long each picture took to make, in milliseconds, for tests and the curious.
const drawn = (globalThis.ibukiDrawn = []);

members.onchange = () => redraw("members");

function changed() {
  members.touch();
  redraw("members", "lists");
  title();
}

function title() {
  const failed = model.counts().failed;
  const text = (failed ? `${failed} failed – ` : "") + (model.node ? model.node + " – ibuki" : "ibuki");
  if (document.title !== text) document.title = text;
  put(byID("who"), model.node ? "to " + model.node : "");
  headline();
}

// headline answers the first question: is it well?
function headline() {
  if (!model.node || model.waiting) return;
  const n = model.counts();
  const all = n.failed + n.degraded + n.alive + n.leaving; // those that left are not missing
  const parts = [`${number(n.alive + n.degraded)} of ${number(all)} alive`];
  if (n.failed) parts.push(`${number(n.failed)} failed`);
  if (n.degraded) parts.push(`${number(n.degraded)} degraded`);
  if (n.leaving) parts.push(`${number(n.leaving)} leaving`);
  const state = n.failed ? "failed" : n.degraded ? "degraded" : "good";
  const well = byID("well");
  well.dataset.state = state;
  setIcon(well.firstElementChild, state === "good" ? "alive" : state);
  put(byID("well-text"), parts.join(" · "));
  const name = model.members.get(model.node)?.tags?.["ibuki-cluster"];
  put(byID("cluster"), name || "ibuki");
  byID("cluster").toggleAttribute("data-named", Boolean(name));
}

// The stream.

let announced = 0, timer = 0;
const news = new Map(); // kind → names

const stream = new Stream({
  open() {
    // The list is the agent's word of now; what is told meanwhile waits for it.
    connected();
  },
  record(r) {
    const kind = model.record(r);
    if (r.type === "hello") loadMembers();
    if (r.type === "member" && !model.waiting) {
      detail.changed(r.member.name);
      if (["failed", "back", "left", "joined", "degraded"].includes(kind)) {
        news.set(kind, (news.get(kind) ?? []).concat(r.member.name));
        announce();
      }
    }
    changed();
  },
  broken(err) {
    if (err.code === "unknown_host") misnamed();
    else if (err instanceof Refused) linkIs("busy", err.message);
    else lost();
  },
  wanted,
}, BEFORE);

async function loadMembers() {
  try {
    model.load(await ask("v1/members"));
    changed();
    refreshCoordinates();
    openLinked();
  } catch (err) {
    if (wantsToken(err)) return wanted(err);
    setTimeout(() => model.waiting && loadMembers(), 500);
  }
}

// openLinked opens the member that the page's address names, once.
let linked = new URLSearchParams(location.search).get("member");
function openLinked() {
  if (linked && model.members.has(linked)) detail.open(linked);
  linked = null;
}

// announce tells a screen reader what happened, at most every few seconds, all of it
// in one sentence for each kind.
function announce() {
  if (timer) return;
  timer = setTimeout(() => {
    timer = 0;
    announced = Date.now();
    const verb = { failed: "failed", back: "back", left: "left", joined: "joined", degraded: "degraded" };
    byID("announce").textContent = [...news].map(([kind, who]) => `${verb[kind]}: ${names(who, 3)}.`).join(" ");
    news.clear();
  }, Math.max(300, announced + CALM - Date.now()));
}

// The way to the agent.

function connected() {
  if (link.state === "live") return;
  const hole = model.holes.at(-1);
  if (hole && !hole.to) hole.to = model.now();
  linkIs("live");
  stale(false);
}

function lost() {
  if (link.state === "live" || link.state === "connecting" || link.state === "busy") {
    if (link.state === "live") model.holes.push({ from: model.now(), to: 0 });
    link.since = Date.now();
    linkIs("lost");
    return;
  }
  linkIs("gone");
}

// stale greys what is shown, for it is of some time ago.
function stale(yes) {
  document.body.classList.toggle("stale", yes);
}

function linkIs(state, detail = "") {
  link.state = state;
  const at = clock(new Date(link.since));
  byID("link").dataset.state = state;
  put(byID("link-text"), paused && state === "live" ? "Paused" : { connecting: "Connecting", live: "Connected", lost: "Reconnecting", gone: "Agent gone", busy: "Busy", silent: "No answer", locked: "Token wanted", misnamed: "Not served here", resting: "Resting" }[state]);
  const text = {
    lost: "",
    gone: `The agent is gone: nothing has answered at ${location.host} since ${at}. ${model.node ? "What is shown is as of then." : ""} It is tried again without end.`,
    silent: `The agent does not answer since ${at}. What is shown is as of then.`,
    busy: `The agent is busy (${detail}). It is tried again.`,
  }[state] ?? "";
  const banner = byID("banner");
  put(banner, text);
  show(banner, text !== "");
  if (["gone", "silent"].includes(state)) stale(true);
}

// misnamed says what to do where the agent does not answer under the name by which the
// page was opened.
function misnamed() {
  if (link.state === "misnamed") return;
  linkIs("misnamed");
  const setting = `"http_hosts": ["${location.hostname}"]`;
  byID("banner").replaceChildren(`The agent does not answer under the name ${location.hostname}. Open this page by the agent's IP address, or put `,
    el("code", {}, setting), copying(setting, "the setting"), " into the agent's configuration and restart it.");
  show(byID("banner"), true);
}

// wanted asks for a token, unless it turns out that the one that was refused is not needed.
async function wanted(err) {
  const had = token.get() !== "";
  stream.stop();
  linkIs("locked");
  if (had && err.status === 401) {
    token.forget();
    const free = await ask("v1/agent").then(() => true, () => false);
    byID("forget").hidden = true;
    if (free) return begin();
  }
  const why = err.status === 401 ? (had ? "The one it was given is not, or no longer, good." : "It lets nobody read without one.")
    : had ? "The one it was given is not good for reading." : err.message + ".";
  put(byID("token-why"), why);
  token.forget();
  byID("forget").hidden = true;
  if (!byID("token").open) byID("token").showModal();
}

byID("token").addEventListener("cancel", (e) => e.preventDefault()); // there is nothing behind it yet
byID("token-form").addEventListener("submit", (e) => {
  e.preventDefault();
  token.set(byID("token-input").value.trim());
  byID("token-input").value = "";
  byID("token").close();
  byID("forget").hidden = false;
  begin();
});
byID("forget").addEventListener("click", () => {
  token.forget();
  location.reload();
});

// Figures.

async function poll() {
  if (link.state === "locked" || document.hidden && link.state === "resting") return;
  const begun = Date.now();
  try {
    const info = await ask("v1/agent", { patience: 3000 });
    model.offset = Date.parse(info.now) - (begun + Date.now()) / 2;
    if (Math.abs(model.offset) < 1000) model.offset = 0;
    if (!paused) health.take(info);
    if (link.state === "silent") connected();
    if (info.gateway) await pollGateway();
    else gateway.none();
  } catch (err) {
    // The stream sees an agent that ends; one that hangs says nothing there for long.
    if (err instanceof Gone && link.state === "live") {
      link.since = begun;
      model.holes.push({ from: model.now(), to: 0 });
      linkIs("silent");
    }
  }
}

async function pollGateway() {
  try {
    const answer = await ask("v1/gateway");
    if (!paused) gateway.take(answer);
  } catch {
    // What it said last stays, with the time of it.
  }
}

// refreshCoordinates asks for the coordinates if it is time to.
let coordinatesAsked = 0;
async function refreshCoordinates() {
  if (link.state !== "live" || document.hidden || model.waiting) return;
  const { alive, degraded } = model.counts();
  const pause = model.rtt.size < alive + degraded ? UNKNOWN : COORDINATES;
  if (Date.now() - coordinatesAsked < pause) return;
  coordinatesAsked = Date.now();
  try {
    heat.take((await ask("v1/coordinates")).coordinates);
  } catch (err) {
    if (err instanceof Refused) heat.take({}); // there are none
  }
  redraw("members");
}

// Pausing: what comes is kept, and nothing moves.

byID("pause").addEventListener("click", () => {
  paused = !paused;
  pausedAt = model.changes;
  byID("pause").setAttribute("aria-pressed", String(paused));
  if (!paused) {
    put(byID("pause"), "Pause");
    changed();
  }
  linkIs(link.state);
  tick();
});

// The clock: once a second, times grow older.

function tick() {
  if (paused) {
    const n = model.changes - pausedAt;
    put(byID("pause"), n ? `Go on (${number(n)})` : "Go on");
    return;
  }
  if (document.hidden) return;
  traffic.rate();
  timeline.drawStrip();
  redraw("members");
}

let resting = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(resting);
  if (document.hidden) {
    resting = setTimeout(() => {
      if (link.state !== "live") return;
      stream.stop();
      linkIs("resting");
    }, HIDDEN);
  } else {
    if (link.state === "resting") stream.start();
    tick();
    poll();
  }
});

function begin() {
  linkIs("connecting");
  stream.start();
  poll();
}

byID("forget").hidden = token.get() === "";
setInterval(tick, 1000);
setInterval(poll, POLL);
setInterval(refreshCoordinates, 500);
begin();
