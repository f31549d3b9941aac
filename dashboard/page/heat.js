// Round trips between all members, estimated from their network coordinates.

import { byID, byNatural, count, el, millis, number, put, show } from "./dom.js";

const MOST = 1200; // members that are drawn; of more, that many evenly chosen
const FEW = 8; // of fewer members a map says nothing
const LOW = 0.5, HIGH = 200; // the ends of the scale, in milliseconds: a fast network is never alarming
const SLICE = 5; // milliseconds at a time that the page may be held up
const STOPS = [[0, 32, 76], [49, 68, 107], [102, 105, 112], [149, 143, 120], [203, 186, 105], [255, 233, 69]]; // cividis

// distance is the round trip between two coordinates, in milliseconds.
export function distance(a, b) {
  let sum = 0;
  for (let i = 0; i < a.vec.length; i++) sum += (a.vec[i] - b.vec[i]) ** 2;
  const plain = Math.sqrt(sum) + a.height + b.height;
  const adjusted = plain + a.adjustment + b.adjustment;
  return 1000 * (adjusted > 0 ? adjusted : plain);
}

const breathe = () => new Promise((done) => setTimeout(done));

export class Heat {
  constructor(model) {
    this.model = model;
    this.canvas = byID("heat-map");
    this.order = byID("heat-order");
    this.coordinates = null;
    this.n = 0;
    this.run = 0;
    this.order.addEventListener("change", () => this.make());
    this.visible = false;
    new IntersectionObserver(([e]) => {
      this.visible = e.isIntersecting;
      if (this.visible && this.stale) this.make();
    }).observe(byID("heat"));
    new ResizeObserver(() => this.paint()).observe(byID("heat-body"));
    this.canvas.addEventListener("pointermove", (e) => this.point(e));
    this.canvas.addEventListener("pointerleave", () => document.activeElement !== this.canvas && this.at(-1, -1));
    this.canvas.addEventListener("keydown", (e) => this.key(e));
    this.canvas.addEventListener("focus", () => this.x === undefined || this.x < 0 ? this.at(0, Math.min(1, this.n - 1)) : null);
    this.canvas.addEventListener("blur", () => this.at(-1, -1));
  }

  // take has new coordinates: an object of them by name.
  take(coordinates) {
    this.coordinates = coordinates;
    const own = coordinates[this.model.node];
    this.model.rtt.clear();
    if (own) for (const [name, c] of Object.entries(coordinates)) if (c.vec.length === own.vec.length) this.model.rtt.set(name, distance(own, c));
    this.stale = true;
    if (this.visible) this.make();
  }

  // make calculates all pairs, a little at a time.
  async make() {
    if (!this.coordinates) return;
    const run = ++this.run;
    this.stale = false;
    let all = Object.keys(this.coordinates);
    const total = all.length;
    const { alive, degraded } = this.model.counts();
    const known = `Known of ${number(Math.min(total, alive + degraded))} of ${count(alive + degraded, "live member")}`;
    const body = byID("heat-body"), empty = byID("heat-empty");
    show(body, total >= FEW);
    show(empty, total < FEW);
    if (total < FEW) return put(empty, total < 2 ? known + "." : `${known}. ${longest(this.coordinates)}. There is a map of ${FEW} members and more.`);
    all.sort(byNatural);
    if (total > MOST) all = Array.from({ length: MOST }, (_, i) => all[Math.floor(i * total / MOST)]);
    if (this.order.value === "near") all = byNearness(all, this.coordinates);
    const c = all.map((name) => this.coordinates[name]);
    const n = all.length;
    const d = new Float32Array(n * n);
    let worst = [];
    let slice = performance.now();
    for (let i = 0; i < n; i++) {
      let far = 0, who = i;
      for (let j = i + 1; j < n; j++) {
        const ms = distance(c[i], c[j]);
        d[i * n + j] = d[j * n + i] = ms;
        if (ms > far) [far, who] = [ms, j];
      }
      if (far > 0) worst.push([far, i, who]);
      if (performance.now() - slice > SLICE) {
        await breathe();
        if (run !== this.run) return;
        slice = performance.now();
      }
    }
    worst = worst.sort((a, b) => b[0] - a[0]).slice(0, 3);
    const sample = n > 300 ? Array.from({ length: 20000 }, (_, k) => d[(k * 7919) % (n * n)]).filter((x) => x > 0) : d.filter((x) => x > 0);
    const sorted = Float32Array.from(sample).sort();
    await breathe();
    if (run !== this.run) return;
    Object.assign(this, { all, n, d, total });
    const quantile = (q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
    // One scale for all clusters, so that a colour means the same everywhere.
    this.high = Math.max(HIGH, worst[0]?.[0] ?? 0);
    this.low = LOW;
    put(byID("heat-low"), "≤ " + millis(this.low));
    put(byID("heat-high"), millis(this.high));
    const edge = byID("heat-edge").children;
    put(edge[0], all[0]);
    put(edge[1], all[n - 1]);
    put(byID("heat-summary"), `${known}. ${total > n ? `${number(n)} of ${count(total, "member")}, evenly chosen` : count(n, "member")}: half of the round trips take at most ${millis(quantile(0.5))}, 95 of 100 at most ${millis(quantile(0.95))}.`);
    byID("heat-worst").replaceChildren(...worst.map(([ms, i, j]) => el("li", {}, el("b", {}, millis(ms)), ` ${all[i]} – ${all[j]}`)));
    await this.colour(run);
  }

  // colour makes a picture with one point for each pair.
  async colour(run) {
    const { n, d } = this;
    const image = new ImageData(n, n);
    const scale = 255 / Math.log(this.high / this.low);
    let slice = performance.now();
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        if (i === j) continue;
        const at = Math.max(0, Math.min(255, Math.round(Math.log(d[i * n + j] / this.low) * scale)));
        const k = 4 * (i * n + j);
        image.data[k] = RAMP[3 * at];
        image.data[k + 1] = RAMP[3 * at + 1];
        image.data[k + 2] = RAMP[3 * at + 2];
        image.data[k + 3] = 255;
      }
      if (performance.now() - slice > SLICE) {
        await breathe();
        if (run !== this.run) return;
        slice = performance.now();
      }
    }
    this.picture = new OffscreenCanvas(n, n);
    this.picture.getContext("2d").putImageData(image, 0, 0);
    this.paint();
  }

  paint() {
    const side = Math.floor(this.canvas.clientWidth * devicePixelRatio);
    if (!this.picture || !side) return;
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    const g = this.canvas.getContext("2d");
    g.clearRect(0, 0, side, side);
    g.imageSmoothingEnabled = this.n > side;
    g.drawImage(this.picture, 0, 0, side, side);
    if (!(this.x >= 0)) return;
    const cell = side / this.n;
    const style = getComputedStyle(this.canvas);
    for (const [width, colour] of [[4, style.getPropertyValue("--surface")], [2, style.getPropertyValue("--text")]]) {
      g.lineWidth = width * devicePixelRatio;
      g.strokeStyle = colour;
      const grow = Math.max(0, 8 * devicePixelRatio - cell) / 2;
      g.strokeRect(this.x * cell - grow, this.y * cell - grow, cell + 2 * grow, cell + 2 * grow);
    }
  }

  // at points at a pair; -1: at none.
  at(x, y) {
    if (this.x === x && this.y === y) return;
    this.x = x;
    this.y = y;
    const a = this.all?.[y], b = this.all?.[x];
    put(byID("heat-read"), x < 0 || !a ? "Point at a cell, or move with the arrow keys." : a === b ? a : `${a} – ${b}: ${millis(this.d[y * this.n + x])}`);
    this.paint();
  }

  point(e) {
    const cell = this.canvas.clientWidth / this.n;
    const inside = (v) => Math.max(0, Math.min(this.n - 1, Math.floor(v / cell)));
    this.at(inside(e.offsetX), inside(e.offsetY));
  }

  key(e) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    if (!by || e.altKey || e.ctrlKey || e.metaKey || !this.n) return;
    e.preventDefault();
    byID("heat-read").setAttribute("aria-live", "polite"); // whoever asks is told
    const inside = (v) => Math.max(0, Math.min(this.n - 1, v));
    this.at(inside((this.x ?? 0) + by[0]), inside((this.y ?? 0) + by[1]));
  }
}

// longest says which two are the furthest apart.
function longest(coordinates) {
  const all = Object.keys(coordinates).sort(byNatural);
  let most = [0, all[0], all[1]];
  for (const [i, a] of all.entries()) for (const b of all.slice(i + 1)) {
    const ms = distance(coordinates[a], coordinates[b]);
    if (ms > most[0]) most = [ms, a, b];
  }
  return `The longest round trip is ${millis(most[0])}, ${most[1]} to ${most[2]}`;
}

// RAMP has 256 colours, three bytes each.
const RAMP = new Uint8Array(768);
for (let i = 0; i < 256; i++) {
  const at = i / 255 * (STOPS.length - 1);
  const k = Math.min(STOPS.length - 2, Math.floor(at));
  for (let j = 0; j < 3; j++) RAMP[3 * i + j] = STOPS[k][j] + (at - k) * (STOPS[k + 1][j] - STOPS[k][j]);
}

// byNearness sorts along the direction in which the coordinates differ most, so that
// those of one place lie together.
function byNearness(all, coordinates) {
  const rows = all.map((name) => coordinates[name].vec);
  const k = rows[0].length;
  const mean = Array.from({ length: k }, (_, i) => rows.reduce((s, r) => s + r[i], 0) / rows.length);
  let axis = Array.from({ length: k }, (_, i) => 1 / (i + 1));
  for (let round = 0; round < 20; round++) {
    const next = new Array(k).fill(0);
    for (const r of rows) {
      let dot = 0;
      for (let i = 0; i < k; i++) dot += (r[i] - mean[i]) * axis[i];
      for (let i = 0; i < k; i++) next[i] += dot * (r[i] - mean[i]);
    }
    const length = Math.hypot(...next);
    if (!length) break;
    axis = next.map((v) => v / length);
  }
  const place = new Map(all.map((name, j) => [name, rows[j].reduce((s, v, i) => s + (v - mean[i]) * axis[i], 0)]));
  return all.sort((a, b) => place.get(a) - place.get(b) || (a < b ? -1 : 1));
}
