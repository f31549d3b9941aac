// What all parts of the page share: making elements, and words for times and sizes.

const SVG = "http://www.w3.org/2000/svg";

export const byID = (id) => document.getElementById(id);

// el makes an element: el("p", {class: "x", onclick: f}, "text", child). What is null is left out.
export function el(tag, attrs, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attrs ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined));
  return node;
}

export function svg(tag, attrs, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attrs ?? {})) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// icon is one of the shapes in the page; the word beside it says the same.
export function icon(name) {
  return svg("svg", { class: "icon k-" + name, "aria-hidden": "true", focusable: "false" }, svg("use", { href: "#i-" + name }));
}

export function setIcon(node, name) {
  if (node.dataset.icon === name) return;
  node.dataset.icon = name;
  node.setAttribute("class", "icon k-" + name);
  node.firstChild.setAttribute("href", "#i-" + name);
}

// put changes a text only if it is another one: what did not change is not laid out anew.
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function show(node, yes) {
  if (node.hidden === yes) node.hidden = !yes;
}

// natural is by what names are sorted, so that node2 comes before node10. It is made
// once for each name: comparing by it costs what comparing texts costs.
export const natural = (name) => name.toLowerCase().replace(/\d+/g, (n) => n.padStart(12, "0"));

export function byNatural(a, b) {
  const x = natural(a), y = natural(b);
  return x < y ? -1 : x > y ? 1 : a < b ? -1 : a > b ? 1 : 0;
}

// copying is a button that copies a text.
export function copying(text, what) {
  const button = el("button", { type: "button", class: "copy", "aria-label": "Copy " + what, onclick: async () => {
    button.textContent = (await copy(text)) ? "Copied" : "Not copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  } }, "Copy");
  return button;
}

// copy works also where the page came without TLS, and browsers have no clipboard.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const held = document.activeElement;
    const field = el("textarea", { class: "quiet", readonly: true });
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    held?.focus();
    return done;
  }
}

const pad = (n, width = 2) => String(n).padStart(width, "0");

// clock is a time of day, with milliseconds if exact.
export function clock(date, exact = false) {
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  return exact ? `${text}.${pad(date.getMilliseconds(), 3)}` : text;
}

export function day(date) {
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${clock(date)}`;
}

// ago is how long something lasts, in one or two units.
export function ago(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  const two = (a, b, unit, below) => (a < 10 && b ? `${a} ${unit} ${b} ${below}` : `${a} ${unit}`);
  if (s < 86400) return two(Math.floor(s / 3600), Math.floor((s % 3600) / 60), "h", "min");
  return two(Math.floor(s / 86400), Math.floor((s % 86400) / 3600), "d", "h");
}

// lasted is a short time exactly.
export function lasted(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(1)} s`;
  return ago(ms);
}

export function millis(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 0.995) return `${ms.toFixed(2)} ms`;
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return `${Math.round(ms)} ms`;
}

export function bytes(n) {
  if (n < 1024) return `${n} B`;
  for (const unit of ["KiB", "MiB", "GiB"]) {
    n /= 1024;
    if (n < 1024 || unit === "GiB") return `${n.toFixed(n < 10 ? 1 : 0)} ${unit}`;
  }
}

export const number = (n) => n.toLocaleString("en");

// count is "1 member", "2 members".
export const count = (n, what, many = what + "s") => `${number(n)} ${n === 1 ? what : many}`;

// names lists some and says how many more there are.
export function names(list, most = 4) {
  const some = list.slice(0, most).join(", ");
  return list.length > most ? `${some} and ${number(list.length - most)} more` : some;
}
