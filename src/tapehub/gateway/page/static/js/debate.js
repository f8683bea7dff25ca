// What a team of agents debates: setups, rejections, what is open, and behind each the whole tree; and the kill switch.
// The panel makes itself, and appears with the first agent.
import { get, poll, post } from "./api.js";
import { byId, make, mark, put } from "./dom.js";
import * as format from "./format.js";
import { Table } from "./tables.js";

const TONES = { closed: "", open: "good", waiting: "dim", untaken: "dim", refused: "warn", expired: "warn", cancelled: "warn" };
const SAID = new Set(["side", "confidence", "mean", "ttl_s", "abstains", "opinions", "said", "rule", "proposed", "agree", "stop_pips", "target_pips"]);
const WITH_VALUES = new Set(["opinion", "setup", "rejection"]);

export class Debate {
  #halt = null;
  #chosen = null;
  #shown = "";
  #asked = 0;
  #panel;
  #count = make("span", { class: "count" });
  #halted = make("p", { class: "halted", role: "status" });
  #kill = make("button", { class: "kill", type: "button" }, "Halt all orders…");
  #list = make("ol");
  #tree = make("div", { class: "tree", "aria-live": "off" });
  #agents;
  #positions;

  constructor() {
    const scroll = (label, name, ...children) => make("div", { class: `scroll ${name}`, tabindex: "0", role: "region", "aria-label": label }, ...children);
    const agents = make("table");
    const positions = make("table");
    this.#halted.hidden = true;
    this.#panel = make("section", { class: "panel debate", "aria-label": "Debate of the agents" },
      make("header", {}, make("h2", {}, "Debate"), this.#count, this.#kill),
      this.#halted,
      make("div", { class: "debate-body" },
        make("div", {},
          make("h3", {}, "Setups and rejections"), scroll("Setups and rejections", "verdicts", this.#list),
          make("h3", {}, "Open positions"), scroll("Open positions", "", positions),
          make("h3", {}, "Runs"), scroll("Runs", "", agents)),
        make("div", {}, make("h3", {}, "Why"), this.#tree)));
    this.#panel.hidden = true;
    this.#agents = new Table(agents, [{ head: "Agent", kind: "strong" }, { head: "Run" }, { head: "Behind", num: true }, { head: "Balance", num: true }, { head: "Trades", num: true }], "None.");
    this.#positions = new Table(positions, [{ head: "Instrument", kind: "strong" }, { head: "Side" }, { head: "Units", num: true }, { head: "Price", num: true }, { head: "Pips", num: true }, { head: "Since" }, { head: "Account" }], "Nothing is open.");
    this.#kill.addEventListener("click", () => this.#ask());
    byId("board").append(this.#panel);
  }

  async load() {
    const told = await get("agents");
    this.#halt = told.halt;
    this.#panel.hidden = told.agents.length === 0 && told.halt === null;
    mark(this.#panel, "halted", told.halt ? "1" : null);
    this.#halted.hidden = told.halt === null;
    put(this.#halted, told.halt ? `HALTED: ${told.halt.reason}${told.halt.by ? ` (${told.halt.by})` : ""}. Agents see the market and order nothing.` : "");
    put(this.#kill, told.halt ? "Resume…" : "Halt all orders…");
    if (this.#panel.hidden) return;
    const [{ signals, rejections }, { positions }] = await Promise.all([get("signals", { limit: 50 }), get("positions")]);
    const nowMs = format.instant(told.now);
    this.#agents.show(told.agents.map((row) => [
      row.agent, row.ended ? ["ended", "dim"] : row.reading ? ["running", "good"] : ["not running", "warn"],
      row.behind_records === null ? "–" : format.count(row.behind_records), `${row.balance} ${row.currency}`, format.count(row.trades),
    ]));
    this.#positions.show(positions.map((row) => [
      row.symbol, row.side, format.count(row.units), String(row.price),
      row.pips === null ? "–" : [signed(row.pips, 1), row.pips < 0 ? "bad" : "good"], format.moment(format.instant(row.opened), nowMs), row.account,
    ]));
    this.#draw([...signals, ...rejections].sort((a, b) => b.seq - a.seq).slice(0, 60), nowMs);
    put(this.#count, `${format.count(signals.length)} setups, ${format.count(rejections.length)} rejections`);
    if (!this.#chosen && signals.length) this.#choose(signals[0].id);
    else if (this.#chosen) await this.#explain();
  }

  #draw(rows, nowMs) {
    const drawn = JSON.stringify([rows.map((row) => [row.id, row.result]), this.#chosen, format.zoneName()]);
    if (drawn === this.#shown) return;
    this.#shown = drawn;
    const held = document.activeElement?.dataset?.debate;
    this.#list.replaceChildren(...rows.map((row) => {
      const [state, tone] = row.result ? came(row.result) : ["rejected", "dim"];
      const at = format.instant(row.at);
      const button = make("button", { type: "button", "aria-pressed": String(row.id === this.#chosen), data: { debate: row.id }, title: row.reason },
        make("time", { dateTime: row.at, title: format.full(at) }, format.moment(at, nowMs)), make("b", {}, row.symbol),
        make("span", { class: "told" }, row.result ? `${row.side} ${row.confidence}: ${row.reason}` : row.reason),
        make("span", { class: tone ? `tone-${tone}` : "" }, state));
      button.addEventListener("click", () => this.#choose(row.id));
      return make("li", {}, button);
    }));
    if (held) this.#list.querySelector(`[data-debate="${CSS.escape(held)}"]`)?.focus();
  }

  #choose(id) {
    this.#chosen = id;
    for (const button of this.#list.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.debate === id));
    this.#explain().catch((error) => put(this.#tree, error.message));
  }

  async #explain() {
    const asked = ++this.#asked;
    const told = await get(`explain/${encodeURIComponent(this.#chosen)}`);
    const drawn = JSON.stringify([told, format.zoneName()]);
    if (asked !== this.#asked || this.#tree.dataset.drawn === drawn) return;
    this.#tree.dataset.drawn = drawn;
    this.#tree.replaceChildren(make("p", {}, make("b", {}, told.title)), branches(told.steps));
  }

  /** Ask whether it is meant, and why; nothing is done by one click. */
  #ask() {
    const resumes = this.#halt !== null;
    const reason = make("input", { name: "reason", required: !resumes, maxLength: 500, autocomplete: "off" });
    const flatten = make("input", { name: "flatten", type: "checkbox" });
    const failed = make("output", { class: "failed" });
    const back = make("button", { type: "button" }, "Leave it");
    const dialog = make("dialog", { class: "kill-dialog", "aria-label": resumes ? "Resume" : "Halt all orders" },
      make("form", {},
        make("b", {}, resumes ? "Let all agents order again?" : "Stop the orders of every agent on this hub?"),
        make("label", {}, "Reason, kept in the log", reason),
        resumes ? null : make("label", {}, flatten, " Close what is open, too, at the next quotes"),
        failed,
        make("menu", {}, back, make("button", { class: "go", type: "submit" }, resumes ? "Resume" : "Halt all orders"))));
    back.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    dialog.firstElementChild.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await (resumes ? post("resume", { reason: reason.value }) : post("halt", { reason: reason.value, flatten: flatten.checked }));
        dialog.close();
        await this.load();
      } catch (error) {
        put(failed, `Not done: ${error.message}`);
      }
    });
    document.body.append(dialog);
    dialog.showModal();
    reason.focus();
  }
}

/** Leave out the noise of sums of fractions. */
const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(10))) : String(value));
const signed = (value, digits) => `${value > 0 ? "+" : ""}${format.number(value, digits)}`;

/** Say what a setup came to: a text and its tone. */
function came(result) {
  if (result.pips !== undefined) return [`${result.state} ${signed(result.pips, 1)} pips`, result.pips < 0 ? "bad" : "good"];
  return [result.code ? `${result.state}: ${result.code}` : result.state, TONES[result.state] ?? ""];
}

function branches(steps) {
  return make("ol", {}, ...steps.map((step) => {
    const at = format.instant(step.at);
    const values = WITH_VALUES.has(step.what) ? Object.entries(step.values).filter(([name, value]) => value !== null && !SAID.has(name)) : [];
    return make("li", { data: { what: step.what } },
      make("p", {},
        make("time", { dateTime: step.at, title: format.full(at) }, format.clock(at)),
        make("span", { class: "what" }, step.what),
        make("span", { class: step.text.startsWith("refuses") || step.what === "rejection" ? "tone-warn" : "" }, make("b", {}, step.agent), ` ${step.text}`)),
      values.length ? make("p", { class: "values" }, values.map(([name, value]) => `${format.words(name)} ${[value].flat().map(short).join(" ")}`).join(", ")) : null,
      step.steps ? branches(step.steps) : null);
  }));
}

const debate = new Debate();
poll(3_000, () => debate.load(), () => globalThis.tapehub?.socket.state === "live");
