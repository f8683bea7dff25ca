// The candle chart: the hub's candles, the forming one included, with what is missing shown as missing.
import * as kit from "../vendor/lightweight-charts/lightweight-charts.mjs";
import { Bands, tradingDay } from "./bands.js";
import { Candles, SHOWN, spanS } from "./candles.js";
import { attribute, byId, colour, make, mark, nextFrame, put, remember, remembered } from "./dom.js";
import * as format from "./format.js";
import { GROUPS, Indicators } from "./indicators.js";

/** All that the hub has; a test compares them with its table. */
export const TIMEFRAMES = ["1s", "5s", "15s", "1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w"];
/** The keys that choose them, as they lie on a keyboard. */
export const TIMEFRAME_KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0", "-"];

export class Chart {
  #store;
  #chart;
  #series;
  #volume;
  #bands = new Bands();
  #indicators;
  #gaps = new Map();
  #hovered = null;
  #drawnTo = 0;
  #isNew = true;

  constructor(store, socket) {
    this.#store = store;
    store.timeframe = TIMEFRAMES.includes(remembered("timeframe", "1m")) ? remembered("timeframe", "1m") : "1m";
    this.candles = new Candles(socket, (changed) => this.#update(changed));
    this.#chart = kit.createChart(byId("chart"), {
      autoSize: true,
      // The logo writes a style element, which the page's security policy refuses: the credit below the chart stands for it.
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 11, panes: { enableResize: true } },
      rightPriceScale: { borderVisible: false, scaleMargins: { top: 0.08, bottom: 0.2 } },
      timeScale: {
        borderVisible: false, timeVisible: true, secondsVisible: true, rightOffset: 6, barSpacing: 8, minBarSpacing: 1.5,
        tickMarkFormatter: (seconds, kind) => tickMark(seconds * 1000, kind),
      },
      crosshair: { mode: kit.CrosshairMode.Normal },
      localization: { timeFormatter: (seconds) => format.full(seconds * 1000) },
    });
    this.#series = this.#chart.addSeries(kit.CandlestickSeries, { borderVisible: false, priceLineStyle: 1 });
    this.#series.attachPrimitive(this.#bands);
    this.#volume = this.#chart.addSeries(kit.HistogramSeries, {
      priceScaleId: "volume", priceLineVisible: false, lastValueVisible: false, priceFormat: { type: "volume" },
    });
    this.#chart.priceScale("volume").applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    this.#indicators = new Indicators(this.#chart, kit);
    this.#chart.subscribeCrosshairMove((event) => {
      this.#hovered = event.time ?? null;
      nextFrame(this.#legend);
    });
    this.#buttons();
    this.dress();
    store.on("chosen", () => this.#show());
    store.on("timeframe", (name) => {
      remember("timeframe", name);
      this.#markTimeframe();
      this.#show();
    });
    store.on("gaps", (rows) => this.#takeGaps(rows));
    store.on("tick", (row) => row.key === store.chosen && nextFrame(this.#quote));
    store.on("aged", () => nextFrame(this.#quote));
  }

  /** Take on the colours of the theme, and the zone of the times. */
  dress() {
    const line = colour("line");
    this.#chart.applyOptions({
      layout: { background: { type: kit.ColorType.Solid, color: colour("panel") }, textColor: colour("muted"), panes: { separatorColor: line, separatorHoverColor: colour("muted", 0.2) } },
      grid: { vertLines: { color: colour("grid") }, horzLines: { color: colour("grid") } },
      crosshair: { vertLine: { color: colour("muted", 0.6), labelBackgroundColor: colour("muted") }, horzLine: { color: colour("muted", 0.6), labelBackgroundColor: colour("muted") } },
    });
    const up = colour("up");
    const down = colour("down");
    this.#series.applyOptions({ upColor: up, wickUpColor: up, downColor: down, wickDownColor: down });
    this.#redraw();
    this.#indicators.dress();
  }

  /** Fetch all anew: the hub is another one, or the socket was away. */
  reload() {
    return this.candles.load();
  }

  /** Give the candle at the right edge, as drawn. */
  get drawn() {
    return this.#series.data().at(-1) ?? null;
  }

  // ---------------------------------------------------------------- choices

  #buttons() {
    byId("timeframes").append(...TIMEFRAMES.map((name, at) => {
      const button = make("button", { type: "button", role: "radio", "aria-checked": "false", "aria-keyshortcuts": TIMEFRAME_KEYS[at], title: `${name} (${TIMEFRAME_KEYS[at]})`, data: { timeframe: name } }, name);
      button.addEventListener("click", () => this.#store.useTimeframe(name));
      return button;
    }));
    byId("timeframes").addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      const to = (TIMEFRAMES.indexOf(this.#store.timeframe) + by + TIMEFRAMES.length) % TIMEFRAMES.length;
      this.#store.useTimeframe(TIMEFRAMES[to]);
      byId("timeframes").children[to].focus();
    });
    byId("indicator-menu").append(...GROUPS.map((group) => {
      const button = make("button", { type: "button", "aria-pressed": String(this.#indicators.isShown(group.name)), data: { tone: group.tone, indicator: group.name } }, group.label);
      button.addEventListener("click", () => {
        this.#indicators.toggle(group.name);
        attribute(button, "aria-pressed", String(this.#indicators.isShown(group.name)));
      });
      return button;
    }));
    this.#markTimeframe();
  }

  #markTimeframe() {
    for (const button of byId("timeframes").children) {
      const chosen = button.dataset.timeframe === this.#store.timeframe;
      attribute(button, "aria-checked", String(chosen));
      button.tabIndex = chosen ? 0 : -1;
    }
  }

  #show() {
    const row = this.#store.chosenRow;
    if (!row) return;
    put(byId("chart-symbol"), row.symbol);
    const { decimals } = row;
    this.#series.applyOptions({ priceFormat: { type: "custom", minMove: 10 ** -decimals, formatter: (value) => format.price(value, decimals) } });
    this.#indicators.reset(decimals);
    this.#series.setData([]);
    this.#volume.setData([]);
    this.#drawnTo = 0;
    this.#isNew = true;
    this.#quote();
    this.candles.show(row.symbol, row.primary ? "" : row.source, this.#store.timeframe);
    this.#store.tell("want-gaps");
  }

  // ---------------------------------------------------------------- drawing

  #update(changed) {
    if (changed === null) {
      this.#redraw();
      // Whoever looks at the past goes on doing so after a reconnection.
      if (this.#isNew) this.#chart.timeScale().scrollToRealTime();
      this.#isNew = false;
    } else {
      const step = spanS(this.candles.timeframe);
      for (const candle of changed) {
        if (candle.seconds === undefined) Object.assign(candle, { seconds: format.instant(candle.timestamp) / 1000 });
        const behind = candle.seconds < this.#drawnTo;
        if (behind || candle.seconds - this.#drawnTo > step) {
          this.#redraw(); // a revision, or intervals were left out: rare, and then all is laid out anew
          break;
        }
        this.#series.update(bar(candle));
        this.#volume.update(this.#column(candle));
        if (candle.seconds > this.#drawnTo) this.#backdrop();
        this.#drawnTo = candle.seconds;
      }
    }
    this.#indicators.refresh(this.candles.symbol, this.candles.timeframe, SHOWN);
    nextFrame(this.#legend);
  }

  #redraw() {
    if (!this.candles.symbol) return;
    const places = this.candles.places(this.#gapsShown());
    this.#series.setData(places.map((place) => (place.seconds === undefined ? place : bar(place))));
    this.#volume.setData(places.map((place) => (place.seconds === undefined ? place : this.#column(place))));
    this.#drawnTo = this.candles.times.at(-1) ?? 0;
    this.#chart.timeScale().applyOptions({ secondsVisible: spanS(this.candles.timeframe) < 60, timeVisible: spanS(this.candles.timeframe) < 86_400 });
    const empty = byId("chart-empty");
    empty.hidden = !this.candles.loaded || this.candles.times.length > 0;
    put(empty, `No ${this.candles.timeframe} candle of ${this.candles.symbol} yet.`);
    this.#backdrop();
    nextFrame(this.#legend);
  }

  #column(candle) {
    return { time: candle.seconds, value: candle.volume, color: colour(candle.close >= candle.open ? "up" : "down", candle.coverage < 1 ? 0.18 : 0.32) };
  }

  #backdrop() {
    const step = spanS(this.candles.timeframe ?? "1m");
    const breaks = [];
    if (step < 86_400) {
      let before = null;
      for (const seconds of this.candles.times) {
        const day = tradingDay(seconds);
        if (before !== null && day !== before) breaks.push(seconds);
        before = day;
      }
    }
    this.#bands.show(this.#gapsShown(), breaks, step, { gap: colour("gap"), line: colour("muted", 0.7) });
  }

  #gapsShown() {
    return this.#gaps.get(this.#store.symbol) ?? [];
  }

  #takeGaps(rows) {
    const nowS = (this.#store.clock.now() ?? 0) / 1000;
    const bySymbol = new Map();
    for (const gap of rows) {
      const start = format.instant(gap.start) / 1000;
      const end = gap.end ? format.instant(gap.end) / 1000 : nowS;
      if (!bySymbol.has(gap.symbol)) bySymbol.set(gap.symbol, []);
      bySymbol.get(gap.symbol).push([start, end]);
    }
    const before = JSON.stringify(this.#gapsShown());
    this.#gaps = bySymbol;
    if (JSON.stringify(this.#gapsShown()) !== before && this.candles.loaded) this.#redraw();
  }

  #quote = () => {
    const row = this.#store.chosenRow;
    if (!row) return;
    const [state, why] = this.#store.shown(row);
    const box = byId("chart-quote");
    if (!box.children.length) {
      for (const side of ["bid", "ask"]) {
        box.append(make("span", { class: "price", data: { side } }, make("span"), make("span", { class: "pip" }), make("span", { class: "frac" })), side === "bid" ? "  /  " : "");
      }
    }
    for (const cell of box.querySelectorAll(".price")) {
      const parts = format.priceParts(row[cell.dataset.side], row.decimals, row.pipSize);
      [...cell.children].forEach((part, at) => put(part, parts[at]));
      mark(cell, "move", row.move);
    }
    const badge = byId("chart-state");
    mark(badge, "state", state);
    put(badge, format.words(state));
    attribute(badge, "title", why || state);
  };

  #legend = () => {
    const box = byId("legend");
    const time = this.#hovered;
    const candle = time === null ? this.candles.last : (this.candles.byTime.get(time) ?? null);
    const decimals = this.#store.chosenRow?.decimals ?? 5;
    const rows = [];
    if (candle) {
      const at = candle.seconds * 1000;
      rows.push([spanS(this.candles.timeframe) < 86_400 ? format.moment(at, this.#store.clock.now() ?? at) : format.day(at), format.words(candle.status)]);
      for (const [label, name] of [["O", "open"], ["H", "high"], ["L", "low"], ["C", "close"]]) rows.push([label, format.price(candle[name], decimals)]);
      rows.push([candle.volume_type === "tick" ? "Ticks" : "Volume", format.count(candle.volume)]);
      if (candle.coverage < 0.9995) rows.push(["Coverage", format.share(candle.coverage)]);
    }
    const lines = this.#indicators.legend(time);
    const text = JSON.stringify([rows, lines]);
    if (box.dataset.drawn === text) return;
    box.dataset.drawn = text;
    box.replaceChildren(...[...rows, ...lines].map(([label, value]) => make("span", {}, `${label} `, make("b", {}, value))));
    const last = this.candles.last;
    // Told to those who do not see the chart; not a live region, as it changes with every tick.
    put(byId("chart-summary"), last ? `${this.candles.times.length} candles of ${this.candles.timeframe}; the last, ${last.status}, opened at ${format.price(last.open, decimals)}, high ${format.price(last.high, decimals)}, low ${format.price(last.low, decimals)}, close ${format.price(last.close, decimals)}.` : "No candles.");
  };
}

const bar = (candle) => ({ time: candle.seconds, open: candle.open, high: candle.high, low: candle.low, close: candle.close });

/** Kinds of `TickMarkType`: year, month, day, time, time with seconds. */
const tickMark = (ms, kind) => [format.year, format.month, format.day, format.minute, format.clock][kind]?.(ms) ?? null;
