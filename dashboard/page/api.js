// The way to the agent: requests with the token, and the stream, resumed where it broke off.

const KEY = "ibuki-token"; // of sessionStorage: this tab's alone

export const token = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (secret) => sessionStorage.setItem(KEY, secret),
  forget: () => sessionStorage.removeItem(KEY),
};

// Refused is an answer that is no success; Gone is none at all.
export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}
export class Gone extends Error {}

// wantsToken says whether a token would help: it does not where the name by which the page was
// opened is the fault, unless there is one already.
export const wantsToken = (err) => err instanceof Refused && (err.status === 401 || err.status === 403 && err.code !== "unknown_host");

function headers(more) {
  const h = new Headers(more);
  if (token.get()) h.set("Authorization", "Bearer " + token.get());
  return h;
}

async function refusal(resp) {
  let code = "", message = resp.statusText || "HTTP status " + resp.status;
  try {
    ({ code, message } = (await resp.json()).error);
  } catch {
    // Not the agent's own words: something in between has answered.
  }
  return new Refused(resp.status, code, message);
}

// PATIENCE is how long an answer may take, in milliseconds.
const PATIENCE = 5000;

// ask gets JSON. It throws Refused or Gone.
export async function ask(path, { method = "GET", patience = PATIENCE } = {}) {
  let resp;
  try {
    // What does more than look is JSON, with or without a body: pages elsewhere cannot ask so.
    const kind = method === "GET" ? {} : { "Content-Type": "application/json" };
    resp = await fetch(path, { method, headers: headers(kind), signal: AbortSignal.timeout(patience), cache: "no-store" });
    if (resp.ok) return await resp.json();
  } catch (err) {
    throw new Gone(err.name === "TimeoutError" ? "no answer within " + patience / 1000 + " s" : "nothing answers");
  }
  throw await refusal(resp);
}

export const memberPath = (prefix, name) => prefix + name.split("/").map(encodeURIComponent).join("/");

// SILENCE is after how long without a word the stream is held to be dead, in
// milliseconds; the agent says something every 15 s.
const SILENCE = 25000;

// LASTED is how long a stream has to have been there to be opened again at once.
const LASTED = 2000;

// Stream follows /v1/stream for ever. on has record(r), open(), broken(error) and
// wanted(error), the last for a token. The number of the last record is kept, and
// named when the stream is opened again: the agent tells what was since, or that it is missing.
export class Stream {
  constructor(on, last) {
    this.on = on;
    this.last = last;
    this.id = "";
    this.tries = 0;
    this.run = 0;
  }

  // start begins anew, whatever was.
  start() {
    this.stop();
    this.follow(++this.run);
  }

  stop() {
    this.run++;
    clearTimeout(this.timer);
    this.abort?.abort();
  }

  async follow(run) {
    let error;
    const begun = Date.now();
    try {
      await this.read(run);
      error = new Gone("the stream ended");
    } catch (err) {
      error = err instanceof Refused ? err : new Gone("nothing answers");
    }
    if (run !== this.run) return;
    if (wantsToken(error)) {
      this.on.wanted(error);
      return;
    }
    this.on.broken(error);
    // At once if it had been there for a while, then ever later, each page at a moment of its own.
    if (Date.now() - begun > LASTED) this.tries = 0;
    const wait = this.tries === 0 ? 0 : Math.min(3000, 150 * 2 ** this.tries) * (0.75 + Math.random() / 2);
    this.tries++;
    this.timer = setTimeout(() => this.follow(run), wait);
  }

  async read(run) {
    this.abort = new AbortController();
    const listen = () => {
      clearTimeout(this.watchdog);
      this.watchdog = setTimeout(() => this.abort.abort(), SILENCE);
    };
    listen();
    try {
      const resp = await fetch("v1/stream?last=" + this.last, {
        headers: headers(this.id ? { "Last-Event-ID": this.id } : {}), signal: this.abort.signal, cache: "no-store",
      });
      if (!resp.ok) throw await refusal(resp);
      this.on.open();
      const reader = resp.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let rest = ""; ;) {
        const { value, done } = await reader.read();
        if (done || run !== this.run) return;
        listen();
        const parts = (rest + value).split("\n\n");
        rest = parts.pop();
        for (const part of parts) this.take(part);
      }
    } finally {
      clearTimeout(this.watchdog);
    }
  }

  take(part) {
    let id = "", data = "";
    for (const line of part.split("\n")) {
      if (line.startsWith("id: ")) id = line.slice(4);
      else if (line.startsWith("data: ")) data = line.slice(6);
    }
    if (!data) return;
    if (id) this.id = id;
    this.on.record(JSON.parse(data));
  }
}
