// Order flow of the chosen instrument, and what is known of the instrument itself.
import { byId, make, nextFrame, put } from "./dom.js";
import * as format from "./format.js";
import { showFacts } from "./tables.js";

export class Flow {
  #store;
  #flow = null;
  #box = byId("flow");
  #parts = null;

  constructor(store, socket) {
    this.#store = store;
    socket.addEventListener("batch", ({ detail }) => {
      for (const record of detail.records) if (record.kind === "order_flow") this.#take(record);
    });
    store.on("chosen", () => this.#forget());
    store.on("aged", () => nextFrame(this.#draw));
  }

  /** Another instrument: its stream begins with what there is. */
  #forget() {
    this.#flow = null;
    nextFrame(this.#draw);
  }

  #take(record) {
    if (record.symbol !== this.#store.symbol) return;
    this.#flow = record;
    nextFrame(this.#draw);
  }

  #draw = () => {
    this.#instrument();
    const flow = this.#flow;
    if (!flow) {
      this.#parts = null;
      put(byId("flow-age"), "");
      if (!this.#box.querySelector(".empty")) this.#box.replaceChildren(make("p", { class: "empty" }, "Nobody publishes order flow of this instrument."));
      return;
    }
    if (!this.#parts) {
      this.#parts = { bias: make("b"), side: make("span", { class: "unit" }), bar: make("i"), facts: make("dl", { class: "facts" }) };
      const { bias, side, bar, facts } = this.#parts;
      this.#box.replaceChildren(make("p", { class: "flow-bias" }, bias, side), make("div", { class: "meter", "aria-hidden": "true" }, bar), facts);
    }
    const { bias, side, bar, facts } = this.#parts;
    const nowMs = this.#store.clock.now();
    const ageS = nowMs === null ? null : (nowMs - format.instant(flow.timestamp)) / 1000;
    put(byId("flow-age"), flow.is_stale || ageS > 5 ? `stale, ${format.span(ageS)}` : format.span(ageS));
    put(bias, format.words(flow.order_flow_bias || "neutral"));
    put(side, flow.futures_symbol || "");
    const total = (flow.buy_volume ?? 0) + (flow.sell_volume ?? 0);
    const lean = total ? (flow.buy_volume - flow.sell_volume) / total : 0;
    bar.style.left = `${lean < 0 ? 50 + lean * 50 : 50}%`;
    bar.style.width = `${Math.abs(lean) * 50}%`;
    bar.style.background = lean >= 0 ? "var(--c-up)" : "var(--c-down)";
    const signed = (value) => (value > 0 ? "good" : value < 0 ? "bad" : "");
    const decimals = this.#store.chosenRow?.decimals ?? 5;
    showFacts(facts, [
      ["Imbalance", format.number(flow.ofi_60s, 1), signed(flow.ofi_60s)],
      ["Volume delta", format.count(flow.net_volume_delta), signed(flow.net_volume_delta)],
      ["Bought / sold", `${format.compact(flow.buy_volume)} / ${format.compact(flow.sell_volume)}`],
      ["Best bid", `${format.price(flow.best_bid, decimals)} × ${format.compact(flow.bid_size)}`],
      ["Best ask", `${format.price(flow.best_ask, decimals)} × ${format.compact(flow.ask_size)}`],
      ["Top of book", format.share(flow.top_of_book_imbalance)],
      ["VWAP, 60 s", format.price(flow.vwap_60s, decimals)],
      ["Sweeps", `${format.count(flow.buy_sweep_count)} / ${format.count(flow.sell_sweep_count)}`],
      ["Toxicity", format.number(flow.toxicity_score, 2), flow.toxicity_score > 0.7 ? "warn" : ""],
    ]);
  };

  #instrument() {
    const row = this.#store.chosenRow;
    if (!row) return;
    const [state, why] = this.#store.shown(row);
    const nowMs = this.#store.clock.now() ?? 0;
    const rows = [
      ["State", format.words(state), { live: "good", stale: "warn", dead: "bad" }[state] ?? ""],
      ["Source", row.source || "–"],
      ["Last tick", format.moment(row.eventMs, nowMs)],
      ["Stale after", format.span(row.staleAfterS)],
      ["Pip", row.pipSize ? String(row.pipSize) : "undeclared", row.pipSize ? "" : "warn"],
      ["Calendar", row.calendar ?? "–"],
      ["Ticks a minute", row.perMinute === null ? "–" : format.count(row.perMinute)],
    ];
    const others = [...this.#store.rows.values()].filter((other) => other.symbol === row.symbol && other !== row);
    for (const other of others) rows.push([`also ${other.source}`, `${format.price(other.bid, row.decimals)} ${format.words(this.#store.shown(other)[0])}`]);
    if (why && state !== "live") rows.push(["Why", why]);
    showFacts(byId("instrument"), rows);
  }
}
