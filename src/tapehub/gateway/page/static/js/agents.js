// What agents publish: accounts and positions, signals, orders, fills, opinions. A section appears with its first record.
import { get } from "./api.js";
import { byId, make, mark, nextFrame, put } from "./dom.js";
import * as format from "./format.js";
import { Table } from "./tables.js";

export const KINDS = ["signal", "order", "fill", "opinion", "account", "agent", "halt"];
const KEPT = 60;
const TIME = { head: "Time" };
const WHAT = { head: "Instrument", kind: "strong" };
const WHO = { head: "Agent" };

const side = (value) => [format.words(value), { buy: "good", sell: "bad" }[value] ?? "dim"];
const sure = (told) => (told.confidence === undefined ? "" : format.share(told.confidence));

/** One section for each kind: what stands in a row of it. `told` is the record's own JSON. */
const SECTIONS = {
  signal: {
    title: "Signals",
    columns: [TIME, WHAT, WHO, { head: "Side" }, { head: "Sure", num: true }, { head: "Why", kind: "text" }],
    cells: (told) => [side(told.side), sure(told), told.refused ? [`refused: ${told.refused}`, "warn"] : told.reason ?? ""],
  },
  order: {
    title: "Orders",
    columns: [TIME, WHAT, WHO, { head: "Side" }, { head: "Units", num: true }, { head: "Status" }, { head: "Why", kind: "text" }],
    cells: (told) => [
      side(told.side), format.count(told.units), [format.words(told.status), { accepted: "good", refused: "bad", expired: "warn", cancelled: "warn" }[told.status] ?? ""],
      [told.what === "close" ? "close" : "", told.code, told.reason].filter(Boolean).join(": "),
    ],
  },
  fill: {
    title: "Fills",
    columns: [TIME, WHAT, WHO, { head: "Side" }, { head: "Units", num: true }, { head: "Price", num: true }, { head: "Pips", num: true }, { head: "Profit", num: true }, { head: "Why" }],
    cells: (told, store) => [
      side(told.side), format.count(told.units), format.price(told.price, store.of(told.symbol)?.decimals ?? 5),
      told.pips === undefined ? "" : [format.number(told.pips, 1), told.pips >= 0 ? "good" : "bad"], told.profit ?? "", `${told.what ?? ""} ${told.why ?? ""}`.trim(),
    ],
  },
  opinion: {
    title: "Opinions",
    columns: [TIME, WHAT, WHO, { head: "Side" }, { head: "Sure", num: true }, { head: "Why", kind: "text" }],
    cells: (told) => [side(told.side), sure(told), told.reason ?? ""],
  },
  agent: {
    title: "Agents",
    columns: [TIME, WHAT, WHO, { head: "What" }, { head: "Said", kind: "text" }],
    cells: (told) => [[format.words(told.what), { error: "bad", behind: "warn" }[told.what] ?? ""], told.text ?? ""],
  },
};

export class Agents {
  #store;
  #records = new Map(KINDS.map((kind) => [kind, new Map()]));
  #tables = new Map();

  constructor(store, socket) {
    this.#store = store;
    socket.addEventListener("batch", ({ detail }) => this.#take(detail.records));
  }

  async load() {
    for (const rows of this.#records.values()) rows.clear();
    const { events } = await get("events", { limit: KEPT * KINDS.length, kinds: KINDS.join(",") });
    this.#take(events);
  }

  #take(records) {
    let fresh = false;
    for (const record of records) {
      const rows = this.#records.get(record.kind);
      if (!rows) continue;
      rows.set(record.seq, { record, told: toldBy(record) });
      if (rows.size > KEPT) rows.delete(rows.keys().next().value);
      fresh = true;
    }
    if (fresh) nextFrame(this.#draw);
  }

  #newest(kind) {
    return [...this.#records.get(kind).values()].sort((a, b) => b.record.seq - a.record.seq);
  }

  #draw = () => {
    const nowMs = this.#store.clock.now();
    let total = 0;
    this.#drawPositions();
    for (const [kind, section] of Object.entries(SECTIONS)) {
      const rows = this.#newest(kind);
      total += rows.length;
      if (!rows.length && !this.#tables.has(kind)) continue;
      this.#table(kind, section.title, section.columns).show(rows.map(({ record, told }) => [
        format.moment(format.instant(record.ts_event), nowMs), record.symbol || told?.symbol || "–", told?.agent ?? record.source ?? "–",
        // A record of another shape than this version knows is shown as it is.
        ...(told && typeof told === "object" ? section.cells(told, this.#store) : section.columns.slice(3).map((column) => (column.kind === "text" ? String(told ?? "") : ""))),
      ]));
    }
    const halt = this.#newest("halt")[0]?.told;
    byId("agents-panel").hidden = total === 0 && !this.#tables.size && !halt;
    const halted = halt?.halted === true;
    put(byId("agents-count"), halted ? `HALTED${halt.reason ? `: ${halt.reason}` : ""}` : total ? format.count(total) : "");
    byId("agents-count").className = halted ? "count tone-bad" : "count";
    mark(byId("agents-panel"), "halted", halted ? "true" : null);
  };

  /** Show what each account holds, by the last that was said of it. */
  #drawPositions() {
    const accounts = new Map();
    for (const { told } of this.#newest("account")) if (told?.account && !accounts.has(told.account)) accounts.set(told.account, told);
    if (!accounts.size) return;
    const decimals = (symbol) => this.#store.of(symbol)?.decimals ?? 5;
    const rows = [...accounts.values()].flatMap((account) => [
      [account.account, "", "", "", "", "", `${account.balance} ${account.currency}`],
      ...(account.positions ?? []).map((held) => [
        "", held.symbol, side(held.side), format.count(held.units), format.price(held.price, decimals(held.symbol)),
        [held.stop, held.target].map((level) => (level ? format.price(level, decimals(held.symbol)) : "–")).join(" / "), held.earned ?? "",
      ]),
    ]);
    this.#table("account", "Accounts and positions", [
      { head: "Account", kind: "strong" }, WHAT, { head: "Side" }, { head: "Units", num: true }, { head: "Price", num: true },
      { head: "Stop / target", num: true }, { head: "Balance, earned", num: true },
    ]).show(rows);
  }

  #table(kind, title, columns) {
    let table = this.#tables.get(kind);
    if (!table) {
      const element = make("table");
      byId("agents").append(make("div", { data: { kind } }, make("h3", {}, title),
        make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, element)));
      table = new Table(element, columns, "None.");
      this.#tables.set(kind, table);
    }
    return table;
  }
}

/** Read a record's own JSON, or its text; null where it is neither. */
function toldBy(record) {
  if (record.about && Object.keys(record.about).length) return record.about;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(atob(record.payload ?? ""), (letter) => letter.codePointAt(0)));
    try {
      return JSON.parse(text);
    } catch {
      return text.slice(0, 300);
    }
  } catch {
    return null;
  }
}
