// The candles of one instrument and timeframe, as the hub has them: fetched once, then kept up by the stream.
import { get } from "./api.js";
import { instant } from "./format.js";

export const SHOWN = 600;
const STREAM = 2;
const WHITE_MAX = 400;
const SPANS_S = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };

export const spanS = (timeframe) => Number.parseInt(timeframe, 10) * SPANS_S[timeframe.at(-1)];

export class Candles {
  symbol = null;
  source = null;
  timeframe = null;
  /** By open time in seconds. */
  byTime = new Map();
  times = [];
  loaded = false;
  #socket;
  #early = [];
  #asked = 0;
  #changed;

  /** @param onChange is called with the candles that are new, or null when all are */
  constructor(socket, onChange) {
    this.#socket = socket;
    this.#changed = onChange;
    socket.addEventListener("batch", ({ detail }) => {
      if (detail.id !== STREAM) return;
      const mine = detail.records.filter((record) => record.kind === "candle" && this.#concerns(record));
      if (!this.loaded) this.#early.push(...mine);
      else if (mine.length) this.#take(mine);
    });
  }

  get last() {
    return this.byTime.get(this.times.at(-1)) ?? null;
  }

  /** Show others from now on. */
  async show(symbol, source, timeframe) {
    this.symbol = symbol;
    this.source = source;
    this.timeframe = timeframe;
    this.#socket.unsubscribe(STREAM);
    this.#socket.subscribe(STREAM, {
      symbols: [symbol], kinds: ["candle", "order_flow"], timeframes: [timeframe], policy: "conflate", rate_hz: 20,
    });
    this.byTime.clear();
    this.times = [];
    await this.load();
  }

  /** Fetch all anew: another hub, or the socket was away. */
  async load() {
    const { symbol, source, timeframe } = this;
    if (!symbol) return;
    const asked = (this.#asked += 1);
    this.loaded = false;
    this.#early = [];
    let rows = [];
    try {
      const parameters = { timeframe, limit: SHOWN, forming: true, source: source || undefined };
      ({ candles: rows } = await get(`candles/${encodeURIComponent(symbol)}`, parameters));
    } catch (error) {
      console.debug("tapehub:", error.message);
      if (asked === this.#asked) setTimeout(() => asked === this.#asked && this.load(), 1000);
      return;
    }
    if (asked !== this.#asked) return;
    this.byTime.clear();
    this.times = [];
    this.loaded = true;
    for (const row of rows) this.#put(row);
    for (const row of this.#early) this.#put(row);
    this.#early = [];
    this.#changed(null);
  }

  #concerns(record) {
    return record.symbol === this.symbol && record.timeframe === this.timeframe
      && record.status !== "superseded" && (!this.source || record.source === this.source);
  }

  #take(records) {
    this.#changed(records.filter((record) => this.#put(record)));
  }

  #put(record) {
    const seconds = instant(record.timestamp) / 1000;
    const known = this.byTime.get(seconds);
    // What was fetched and what streams cross: the one that knows of more ticks is the later one.
    if (known && known.revision === record.revision && known.status === record.status && known.ticks > record.ticks) return false;
    if (!known) {
      if (this.times.length && seconds < this.times[0]) return false;
      this.times.push(seconds);
      if (this.times.length > 1 && this.times.at(-2) > seconds) this.times.sort((a, b) => a - b);
    }
    this.byTime.set(seconds, { ...record, seconds });
    return true;
  }

  /**
   * Give what the time axis holds: each candle, and an empty place for each interval without one, but for long pauses,
   * in which the market was closed.
   */
  places(gaps) {
    const step = spanS(this.timeframe);
    const rows = [];
    let before = null;
    for (const seconds of this.times) {
      if (before !== null && seconds - before > step && step < 14_400) {
        const missing = Math.round((seconds - before) / step) - 1;
        const isGap = gaps.some(([start, end]) => start < seconds && end > before + step);
        if (missing <= WHITE_MAX && (isGap || (seconds - before) <= 3600)) {
          for (let at = before + step; at < seconds; at += step) rows.push({ time: at });
        }
      }
      rows.push(this.byTime.get(seconds));
      before = seconds;
    }
    return rows;
  }
}
