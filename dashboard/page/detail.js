// One member: what it is, what it went through, and why.

import { Gone, Refused, ask, memberPath } from "./api.js";
import { ago, byID, clock, copying, day, el, icon, millis } from "./dom.js";
import { address } from "./members.js";
import { VERDICTS, stateOf } from "./model.js";

export class Detail {
  constructor(model, back) {
    this.model = model;
    this.dialog = byID("drawer");
    this.body = byID("drawer-body");
    this.name = "";
    byID("drawer-close").addEventListener("click", () => this.dialog.close());
    // A click beside the drawer closes it, as Escape does.
    this.dialog.addEventListener("click", (e) => e.target === this.dialog && this.dialog.close());
    this.dialog.addEventListener("close", () => {
      const name = this.name;
      this.name = "";
      address({ member: "" });
      back(name);
    });
  }

  open(name) {
    this.name = name;
    this.shown = null;
    address({ member: name });
    byID("drawer-title").replaceChildren(name, copying(name, "the name"));
    this.body.replaceChildren(el("p", { class: "note" }, "Asking the agent …"));
    if (!this.dialog.open) this.dialog.showModal();
    this.load();
  }

  // changed is called when the member of that name has changed.
  changed(name) {
    if (name === this.name) this.load();
  }

  async load() {
    const name = this.name;
    try {
      const [m, why] = await Promise.all([ask(memberPath("v1/members/", name)), ask(memberPath("v1/why/", name)).catch((err) => err)]);
      if (name !== this.name) return;
      this.show(m);
      if (why instanceof Error) this.whyBox.replaceChildren(el("p", { class: "note" }, "It cannot be told: " + said(why)));
      else this.why(why, false);
    } catch (err) {
      if (name === this.name) this.body.replaceChildren(el("p", { class: "note bad" }, said(err)));
    }
  }

  show(m) {
    const state = stateOf(m);
    const since = m.since ? new Date(m.since) : null;
    const rows = [
      ["State", [icon(state), " ", state, m.verdict ? `: ${m.verdict}` : ""]],
      m.verdict ? ["", VERDICTS[m.verdict] ?? ""] : null,
      ["Since", since ? `${day(since)} (${ago(this.model.now() - since)})` : "not known"],
      ["Address", [`${m.address.includes(":") ? `[${m.address}]` : m.address}:${m.port}`, copying(`${m.address.includes(":") ? `[${m.address}]` : m.address}:${m.port}`, "the address")]],
      ["Round trip", m.name === this.model.node ? "this node" : millis(m.rtt_ms)],
      ["Failures", `${m.fails}, back after ${m.flaps} of them, since ${day(new Date(m.watched_since))}`],
      m.protocol ? ["Protocol", `Serf ${m.protocol.current} (${m.protocol.min}–${m.protocol.max}), memberlist ${m.memberlist.current}`] : null,
    ].filter(Boolean);
    const tags = Object.entries(m.tags);
    const changes = m.changes.toReversed().slice(0, 20);
    this.whyBox = el("div", { class: "why" });
    this.body.replaceChildren(
      el("dl", { class: "facts" }, rows.map(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])),
      tags.length ? el("ul", { class: "tags", "aria-label": "Tags" }, tags.map(([k, v]) => el("li", {}, el("b", {}, k), " " + v))) : "",
      el("h3", {}, "Why"), this.whyBox,
      el("h3", {}, "Changes"),
      el("ol", { class: "entries plain" }, changes.map((c) => {
        const to = c.to || "forgotten";
        return el("li", {}, el("time", { datetime: c.time, title: day(new Date(c.time)) }, clock(new Date(c.time), true)), icon(to), el("span", {}, c.from ? `${c.from} → ${to}` : to));
      })),
    );
  }

  // why shows what is known of the last incident: by this agent's account, or by all members'.
  why(report, all) {
    const top = Object.entries(report.accusers ?? {}).sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, 5);
    const more = el("button", { type: "button", onclick: () => this.askAll(more) }, all ? "Ask all members again" : "Ask all members");
    this.whyBox.replaceChildren(
      el("p", {}, report.timeline ? "Most likely: " + report.cause + "." : "Nobody has accused it" + (all ? "." : ", as far as this agent knows.")),
      top.length ? el("p", { class: "note" }, "Accused by " + top.map(([who, n]) => `${who} (${n})`).join(", ") + ".") : "",
      el("p", { class: "note" }, all ? `${report.answered.length} of ${report.asked} members have answered.` : "By what this agent itself has seen. "),
      more, command(this.name),
      el("ol", { class: "entries plain account" }, (report.timeline ?? []).slice(-100).map((l) => el("li", {},
        el("time", { datetime: l.time, title: day(new Date(l.time)) }, clock(new Date(l.time), true)), el("b", {}, l.observer), el("span", {}, l.text)))),
    );
  }

  async askAll(button) {
    const name = this.name;
    button.disabled = true;
    button.textContent = "Asking …";
    try {
      const report = await ask(memberPath("v1/why/", name), { method: "POST", patience: 12000 });
      if (name !== this.name) return;
      this.why(report, true);
      this.whyBox.querySelector("button").focus();
    } catch (err) {
      button.disabled = false;
      button.textContent = "Ask all members";
      button.after(el("p", { class: "note bad", role: "alert" }, said(err)));
      button.focus();
    }
  }
}

// command is what asks all members on the agent's host, where no token is needed.
function command(name) {
  const line = "ibuki why " + (/^[\w./:@%+-]+$/.test(name) ? name : "'" + name.replaceAll("'", "'\\''") + "'");
  return el("p", { class: "note command" }, "On a terminal: ", el("code", {}, line), copying(line, "the command"));
}

// said is what an error means to whoever looks.
function said(err) {
  if (err instanceof Gone) return "The agent does not answer.";
  if (err instanceof Refused && (err.status === 401 || err.status === 403)) return "To ask all members takes a token with the verbs read and query (docs/access.md). The command below asks them without one, on the agent's host.";
  return err.message;
}
