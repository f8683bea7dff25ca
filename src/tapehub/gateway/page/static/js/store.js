// What this page knows: one row for each instrument and source, and what is true of all of them.
import { instant, number, span } from "./format.js";

/** Silence that is out of the ordinary until the hub tells what it has learnt of an instrument. */
const UNLEARNT_S = 30;
const CLOSES = 60;
const FRESH = new Set(["live", "unverified"]);

/** One instrument from one source. */
export class Row {
  constructor(symbol, source) {
    this.key = `${symbol} ${source}`;
    this.symbol = symbol;
    this.source = source;
    this.decimals = 5;
    this.pipSize = null;
    this.primary = true;
    /** "SIMULATED" or "REPLAY" where no market is like that now. */
    this.madeUp = "";
    this.bid = this.ask = this.spread = this.eventMs = null;
    this.seq = -1;
    this.move = "";
    this.state = "empty";
    this.cause = "";
    this.perMinute = null;
    this.staleAfterS = UNLEARNT_S;
    /** Closes of the last minutes: [[open time in ms, close], …], oldest first. */
    this.closes = [];
  }

  tick(record) {
    if (record.seq <= this.seq) return false;
    this.seq = record.seq;
    const eventMs = instant(record.ts_event);
    if (this.eventMs !== null && eventMs < this.eventMs) return false; // late: the latest is the one of the greatest time
    if (this.bid !== null && record.bid !== this.bid) this.move = record.bid > this.bid ? "up" : "down";
    this.bid = record.bid;
    this.ask = record.ask;
    this.spread = record.spread;
    this.eventMs = eventMs;
    return true;
  }

  /** Take in closes, [[open time in ms, close], …]: what is known of a minute already is replaced. */
  minutes(rows) {
    const known = new Map(this.closes);
    for (const [openMs, close] of rows) known.set(openMs, close);
    this.closes = [...known].sort((a, b) => a[0] - b[0]).slice(-CLOSES);
  }

  ageS(nowMs) {
    return this.eventMs === null || nowMs === null ? null : (nowMs - this.eventMs) / 1000;
  }
}

export class Store extends EventTarget {
  rows = new Map();
  chosen = null;
  timeframe = "1m";
  hub = { id: "", epoch: 0, name: "" };
  heard = false;
  #isLive;

  /**
   * @param clock the estimate of the hub clock
   * @param isLive tells whether the page hears the hub
   */
  constructor(clock, isLive) {
    super();
    this.clock = clock;
    this.#isLive = isLive;
  }

  tell(type, detail = null) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  on(type, handle) {
    this.addEventListener(type, (event) => handle(event.detail));
  }

  row(symbol, source) {
    const key = `${symbol} ${source}`;
    let row = this.rows.get(key);
    if (!row) {
      row = new Row(symbol, source);
      this.rows.set(key, row);
      for (const other of this.rows.values()) {
        if (other.symbol === symbol && other !== row && other.decimals) {
          row.decimals = other.decimals;
          row.pipSize = other.pipSize;
        }
      }
      this.tell("rows");
    }
    return row;
  }

  /** Give the row that stands for a symbol: that of its primary source. */
  of(symbol) {
    let found = null;
    for (const row of this.rows.values()) if (row.symbol === symbol && (row.primary || !found)) found = row;
    return found;
  }

  get chosenRow() {
    return this.rows.get(this.chosen) ?? null;
  }

  get symbol() {
    return this.chosenRow?.symbol ?? null;
  }

  choose(key) {
    if (key === this.chosen || !this.rows.has(key)) return;
    this.chosen = key;
    this.tell("chosen", this.chosenRow);
  }

  useTimeframe(name) {
    if (name === this.timeframe) return;
    this.timeframe = name;
    this.tell("timeframe", name);
  }

  /**
   * Say what may be shown of a row: never a fresh state for what is older than its threshold, whoever last called it so.
   *
   * @returns [state, why]
   */
  shown(row) {
    if (!this.#isLive()) return ["unknown", "this page hears nothing from the hub"];
    const ageS = row.ageS(this.clock.now());
    if (FRESH.has(row.state) && ageS !== null && ageS > row.staleAfterS) {
      return ["stale", `silent for ${span(ageS)}, longer than the ${span(row.staleAfterS)} that are usual for it`];
    }
    return [row.state, row.cause];
  }

  /** Forget what another hub said. */
  clear() {
    this.rows.clear();
    this.chosen = null;
    this.tell("rows");
  }
}

/** Colour of a spread: at most 0.8, at most 1.2 pips, above. */
export const spreadLevel = (pips) => {
  if (pips === null) return "";
  const shown = Math.round(pips * 10) / 10; // as it is written: 0.8000000001 is 0.8
  return shown <= 0.8 ? "tight" : shown <= 1.2 ? "usual" : "wide";
};

export const spreadText = (row) => (row.spread === null ? "–" : row.pipSize ? number(row.spread, 1) : number(row.spread, 3));
