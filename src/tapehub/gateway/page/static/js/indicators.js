// Indicators, as the server computes them: whole at first, the last bars again while they form.
import { get } from "./api.js";
import { colour, remember, remembered } from "./dom.js";
import { instant, number } from "./format.js";

const EVERY_MS = 1_000;
const TAIL = 3;

/** Each group is one button; each line one column of the answer. */
export const GROUPS = [
  { name: "ema", label: "EMA", tone: "blue", on: true, pane: 0,
    lines: (columns) => Object.keys(columns.ema).map((period, at, all) => ({
      path: ["ema", period], label: period, tone: "blue", alpha: 1 - (at / all.length) * 0.72, width: 1,
    })) },
  { name: "vwap", label: "VWAP", tone: "amber", on: true, pane: 0,
    lines: () => [{ path: ["vwap"], label: "", tone: "amber", alpha: 1, width: 2, free: true }] },
  { name: "donchian", label: "Donchian", tone: "violet", on: false, pane: 0,
    lines: () => ["upper", "middle", "lower"].map((edge) => ({
      path: ["donchian", edge], label: edge, tone: "violet", alpha: edge === "middle" ? 0.55 : 0.9, width: 1, style: edge === "middle" ? 2 : 0,
    })) },
  { name: "rsi", label: "RSI", tone: "violet", on: true, pane: "rsi",
    lines: () => [{ path: ["rsi"], label: "", tone: "violet", alpha: 1, width: 1.5, levels: [30, 70], range: [15, 85], decimals: 1 }] },
  { name: "atr", label: "ATR", tone: "muted", on: false, pane: "atr",
    lines: () => [{ path: ["atr"], label: "", tone: "muted", alpha: 1, width: 1.5 }] },
];

const pick = (columns, path) => path.reduce((at, name) => at?.[name], columns) ?? [];

export class Indicators {
  #chart;
  #kit;
  #shown = new Set(GROUPS.filter((group) => remembered(`show.${group.name}`, group.on ? "1" : "0") === "1").map((group) => group.name));
  #series = new Map();
  #columns = null;
  #of = "";
  #busy = false;
  #askedMs = 0;
  #again = 0;
  #decimals = 5;

  /** @param kit the module of lightweight-charts */
  constructor(chart, kit) {
    this.#chart = chart;
    this.#kit = kit;
  }

  isShown(name) {
    return this.#shown.has(name);
  }

  toggle(name) {
    if (!this.#shown.delete(name)) this.#shown.add(name);
    remember(`show.${name}`, this.#shown.has(name) ? "1" : "0");
    this.#draw();
    this.refresh();
  }

  /** Begin anew: another instrument or timeframe, or other colours. */
  reset(decimals) {
    this.#decimals = decimals;
    this.#remove();
    this.#columns = null;
    this.#of = "";
  }

  /** The candles changed: ask for the last bars again, at most once a second. */
  async refresh(symbol = this.symbol, timeframe = this.timeframe, limit = this.limit) {
    Object.assign(this, { symbol, timeframe, limit });
    if (!symbol || !this.#shown.size) return;
    clearTimeout(this.#again);
    const wait = this.#askedMs + EVERY_MS - performance.now();
    if (this.#busy || (this.#columns && wait > 0)) {
      this.#again = setTimeout(() => this.refresh(), Math.max(wait, 50));
      return;
    }
    this.#busy = true;
    this.#askedMs = performance.now();
    const of = `${symbol} ${timeframe}`;
    const whole = this.#of !== of || !this.#columns;
    try {
      const told = await get(`indicators/${encodeURIComponent(symbol)}`, { timeframe, limit: whole ? limit : TAIL });
      if (of === `${this.symbol} ${this.timeframe}`) this.#take(told, whole, of);
    } catch (error) {
      console.debug("tapehub:", error.message);
    }
    this.#busy = false;
    if (of !== `${this.symbol} ${this.timeframe}`) this.refresh();
  }

  #take(told, whole, of) {
    const times = told.timestamps.map((text) => instant(text) / 1000);
    this.#of = of;
    if (whole) {
      this.#columns = { ...told, times };
      this.#draw();
      return;
    }
    const first = this.#columns.times.findLastIndex((time) => time < times[0]) + 1;
    merge(this.#columns, { ...told, times }, first);
    for (const rows of this.#series.values()) {
      for (const row of rows) {
        const values = pick(told, row.path);
        // What lies before the last point is settled: an update there would be refused.
        times.forEach((time, at) => time >= row.last && row.series.update(point(time, values[at])));
        row.last = Math.max(row.last, times.at(-1) ?? 0);
      }
    }
  }

  /** Draw all lines anew, in the colours of now. */
  dress() {
    this.#remove();
    this.#draw();
  }

  #remove() {
    for (const rows of this.#series.values()) for (const { series } of rows) this.#chart.removeSeries(series);
    this.#series.clear();
  }

  #draw() {
    for (const group of GROUPS) {
      const drawn = this.#series.get(group.name);
      if (drawn && (!this.#shown.has(group.name) || !this.#columns)) {
        for (const { series } of drawn) this.#chart.removeSeries(series);
        this.#series.delete(group.name);
      }
    }
    if (!this.#columns) return;
    const { times } = this.#columns;
    for (const group of GROUPS) {
      if (!this.#shown.has(group.name)) continue;
      let rows = this.#series.get(group.name);
      if (!rows) {
        const pane = group.pane === 0 ? 0 : this.#chart.panes().length;
        rows = group.lines(this.#columns).map((line) => ({ ...line, series: this.#add(line, pane) }));
        if (pane) {
          this.#chart.panes()[pane]?.setStretchFactor(0.22);
          this.#chart.panes()[0].setStretchFactor(1);
        }
        this.#series.set(group.name, rows);
      }
      for (const row of rows) {
        const values = pick(this.#columns, row.path);
        row.series.setData(times.map((time, at) => point(time, values[at])));
        row.last = times.at(-1) ?? 0;
      }
    }
  }

  #add(line, pane) {
    const series = this.#chart.addSeries(this.#kit.LineSeries, {
      color: colour(line.tone, line.alpha), lineWidth: line.width, lineStyle: line.style ?? 0, priceLineVisible: false,
      lastValueVisible: pane > 0, crosshairMarkerVisible: false,
      priceFormat: { type: "custom", minMove: 10 ** -(line.decimals ?? this.#decimals), formatter: (value) => number(value, line.decimals ?? this.#decimals) },
      // What strays far must not flatten the candles; what has bounds keeps them.
      autoscaleInfoProvider: line.free ? () => null : line.range ? () => ({ priceRange: { minValue: line.range[0], maxValue: line.range[1] } }) : undefined,
    }, pane);
    for (const level of line.levels ?? []) {
      series.createPriceLine({ price: level, color: colour("muted", 0.45), lineWidth: 1, lineStyle: 2, axisLabelVisible: false, title: "" });
    }
    return series;
  }

  /** Give what stands at a time, or the newest: [[label, text, tone], …]. */
  legend(time) {
    const rows = [];
    for (const group of GROUPS) {
      const lines = this.#series.get(group.name) ?? [];
      // Of a ribbon the two edges say enough.
      for (const { series, label, tone, decimals } of lines.length > 3 ? [lines[0], lines.at(-1)] : lines) {
        const data = series.data();
        const found = time === null ? data.at(-1) : data.find((each) => each.time === time);
        if (found?.value === undefined) continue;
        rows.push([`${group.label}${label ? ` ${label}` : ""}`, number(found.value, decimals ?? this.#decimals), tone]);
      }
    }
    return rows;
  }
}

/** Put the values of the last bars in the place of those that were there, from a place on, column by column. */
function merge(columns, fresh, first) {
  for (const [name, values] of Object.entries(fresh)) {
    if (Array.isArray(values)) columns[name].splice(first, columns[name].length, ...values);
    else if (typeof values === "object" && values !== null) merge(columns[name], values, first);
  }
}

const point = (time, value) => (value === null || value === undefined ? { time } : { time, value });
