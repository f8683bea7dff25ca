// The watch-list: a row for each instrument and source, changed in place, and only where something is new.
import { attribute, byId, make, mark, nextFrame, put } from "./dom.js";
import { count, priceParts, span, words } from "./format.js";
import { drawSpark } from "./spark.js";
import { spreadLevel, spreadText } from "./store.js";

const AGED_EVERY_MS = 250;
const SPARK_EVERY_MS = 1_000;

/** The elements of one row. */
class Line {
  constructor(row, onChoose) {
    this.row = row;
    const text = () => document.createTextNode("");
    const price = () => {
      const parts = [make("span"), make("span", { class: "pip" }), make("span", { class: "frac" })];
      const cell = make("span", { class: "price num", role: "gridcell" }, ...parts);
      return { cell, parts };
    };
    this.bid = price();
    this.ask = price();
    this.spread = make("span", { class: "spread num", role: "gridcell" });
    this.age = make("span", { class: "age num", role: "gridcell" });
    this.rate = make("span", { class: "rate num", role: "gridcell" });
    this.badge = make("span", { class: "badge" });
    this.spark = make("canvas", { "aria-hidden": "true" });
    this.source = make("small", {}, text());
    this.element = make(
      "div",
      { class: "row item", role: "row", tabindex: "-1", "aria-selected": "false", data: { symbol: row.symbol, source: row.source } },
      make("span", { class: "name", role: "rowheader" }, row.symbol, this.source),
      this.bid.cell, this.ask.cell, this.spread, this.age, this.rate,
      make("span", { role: "gridcell" }, this.badge),
      make("span", { class: "spark", role: "gridcell" }, this.spark),
    );
    this.element.addEventListener("click", () => onChoose(row.key));
  }

  drawPrices() {
    const { row } = this;
    for (const [side, value] of [[this.bid, row.bid], [this.ask, row.ask]]) {
      const parts = priceParts(value, row.decimals, row.pipSize);
      side.parts.forEach((part, at) => put(part, parts[at]));
      mark(side.cell, "move", row.move);
    }
    put(this.spread, spreadText(row));
    mark(this.spread, "level", row.pipSize ? spreadLevel(row.spread) : null);
    // As numbers, for whoever reads the page by program.
    mark(this.element, "bid", row.bid);
    mark(this.element, "ask", row.ask);
  }

  drawState(store, nowMs) {
    const { row } = this;
    const [state, why] = store.shown(row);
    const ageS = row.ageS(nowMs);
    put(this.age, span(ageS));
    mark(this.age, "old", ageS !== null && ageS > row.staleAfterS && state !== "closed" && state !== "quiet" ? "true" : null);
    put(this.rate, row.perMinute === null ? "–" : count(row.perMinute));
    mark(this.badge, "state", state);
    put(this.badge, words(state));
    mark(this.element, "state", state);
    attribute(this.badge, "title", why || words(state));
  }
}

export class WatchList {
  #store;
  #lines = new Map();
  #dirty = new Set();
  #box = byId("watch-rows");
  #filter = "";

  constructor(store) {
    this.#store = store;
    store.on("rows", () => nextFrame(this.#layOut));
    store.on("tick", (row) => this.#touch(row));
    store.on("chosen", () => this.#mark());
    store.on("link", () => this.#age());
    setInterval(() => nextFrame(this.#age), AGED_EVERY_MS);
    setInterval(() => nextFrame(this.#sparks), SPARK_EVERY_MS);
    this.#box.addEventListener("focusin", (event) => {
      const line = event.target.closest(".row.item");
      if (line) store.choose(`${line.dataset.symbol} ${line.dataset.source}`);
    });
    const search = byId("search");
    search.addEventListener("input", () => {
      this.#filter = search.value.trim().toUpperCase().replaceAll(/[^\p{L}\p{N}]/gu, "");
      this.#layOut();
      const first = this.visible()[0];
      if (this.#filter && first) store.choose(first);
    });
  }

  /** Give the keys of the rows that are shown, in order. */
  visible() {
    return [...this.#lines.values()].filter((line) => !line.element.hidden).map((line) => line.row.key);
  }

  /** Choose another row, so many below. */
  step(by) {
    const keys = this.visible();
    if (!keys.length) return;
    const at = keys.indexOf(this.#store.chosen);
    const to = Math.min(keys.length - 1, Math.max(0, at < 0 ? 0 : at + by));
    this.#store.choose(keys[to]);
    this.focus();
  }

  focus() {
    this.#lines.get(this.#store.chosen)?.element.focus();
  }

  #touch(row) {
    this.#dirty.add(row.key);
    nextFrame(this.#draw);
  }

  #draw = () => {
    const nowMs = this.#store.clock.now();
    for (const key of this.#dirty) {
      const line = this.#lines.get(key);
      if (!line) continue;
      line.drawPrices();
      line.drawState(this.#store, nowMs);
    }
    this.#dirty.clear();
  };

  #age = () => {
    const nowMs = this.#store.clock.now();
    const tally = new Map();
    for (const line of this.#lines.values()) {
      line.drawState(this.#store, nowMs);
      const state = line.element.dataset.state;
      tally.set(state, (tally.get(state) ?? 0) + 1);
    }
    this.#store.tell("aged", tally);
  };

  #sparks = () => {
    const shown = [...this.#lines.values()].filter((line) => !line.element.hidden);
    const width = shown[0]?.spark.clientWidth;
    if (width) for (const line of shown) drawSpark(line.spark, line.row, width);
  };

  #layOut = () => {
    const store = this.#store;
    for (const [key, line] of this.#lines) {
      if (store.rows.get(key) !== line.row) {
        line.element.remove();
        this.#lines.delete(key);
      }
    }
    const several = new Map();
    for (const row of store.rows.values()) several.set(row.symbol, (several.get(row.symbol) ?? 0) + 1);
    let shown = 0;
    for (const row of store.rows.values()) {
      let line = this.#lines.get(row.key);
      if (!line) {
        line = new Line(row, (key) => {
          store.choose(key);
          this.focus();
        });
        this.#lines.set(row.key, line);
        this.#box.append(line.element);
        this.#touch(row);
      }
      put(line.source, [several.get(row.symbol) > 1 ? row.source : "", row.madeUp.toLowerCase()].filter(Boolean).join(" · "));
      line.element.hidden = !`${row.symbol}${row.source}`.toUpperCase().replaceAll("_", "").includes(this.#filter);
      if (!line.element.hidden) shown += 1;
    }
    put(byId("watch-count"), shown === store.rows.size ? count(shown) : `${count(shown)} of ${count(store.rows.size)}`);
    attribute(byId("watch-grid"), "aria-rowcount", String(shown + 1));
    const empty = byId("watch-empty");
    empty.hidden = shown > 0;
    put(empty, store.rows.size ? "No instrument of that name." : store.heard ? "The hub has no instrument yet." : "Waiting for the hub…");
    this.#mark();
    this.#sparks();
  };

  #mark() {
    for (const [key, line] of this.#lines) {
      const chosen = key === this.#store.chosen;
      attribute(line.element, "aria-selected", String(chosen));
      line.element.tabIndex = chosen ? 0 : -1;
      if (chosen) line.element.scrollIntoView({ block: "nearest" });
    }
  }
}
