// Coverage: instruments by minutes, coloured by the share of the minute in which the feed was live.
import { get } from "./api.js";
import { attribute, byId, colour, nextFrame, put } from "./dom.js";
import * as format from "./format.js";

const MINUTES = 120;
const MINUTE_MS = 60_000;
const LINE = 18;
const HEAD = 18;
const LABEL = 74;
const SHARE = 52;
// The server does few long reads at a time, and turns away who comes when all are taken: these are the longest, and can wait.
const AT_ONCE = 1;
/** The subscription that brings the 1-minute candles of all. */
export const MINUTE_STREAM = 3;

export class Coverage {
  #store;
  #canvas = byId("coverage");
  #tip = byId("coverage-tip");
  /** By symbol, then by minute since 1970: [share, outcome, ticks]. */
  #cells = new Map();
  #loading = false;

  constructor(store, socket) {
    this.#store = store;
    socket.addEventListener("batch", ({ detail }) => {
      let fresh = false;
      for (const record of detail.records) {
        if (detail.id !== MINUTE_STREAM || record.kind !== "candle" || record.timeframe !== "1m" || record.status === "superseded") continue;
        store.tell("minute", record);
        if (record.status === "forming") continue;
        fresh = true;
        this.#of(record.symbol).set(format.instant(record.timestamp) / MINUTE_MS, [record.coverage, "f", record.ticks]);
      }
      if (fresh) nextFrame(this.draw);
    });
    new ResizeObserver(() => nextFrame(this.draw)).observe(this.#canvas.parentElement);
    this.#canvas.addEventListener("pointermove", (event) => this.#point(event));
    this.#canvas.addEventListener("pointerleave", () => (this.#tip.hidden = true));
  }

  #of(symbol) {
    let found = this.#cells.get(symbol);
    if (!found) this.#cells.set(symbol, (found = new Map()));
    return found;
  }

  /** Fetch what the minutes so far were, a few instruments at a time. */
  async load() {
    const nowMs = this.#store.clock.now();
    if (this.#loading || nowMs === null) return;
    this.#loading = true;
    const days = new Set([nowMs - MINUTES * MINUTE_MS, nowMs].map((ms) => new Date(ms).toISOString().slice(0, 10)));
    const wanted = [...this.#symbols()].flatMap((symbol) => [...days].map((day) => [symbol, day]));
    const work = async () => {
      for (let next = wanted.shift(); next; next = wanted.shift()) {
        try {
          this.#take(await get(`coverage/${encodeURIComponent(next[0])}`, { day: next[1] }));
        } catch (error) {
          console.debug("tapehub:", error.message);
        }
        nextFrame(this.draw);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.#loading = false;
  }

  #take(told) {
    const cells = this.#of(told.symbol);
    const first = Math.round(format.instant(told.start) / MINUTE_MS);
    const nowMinute = Math.floor(this.#store.clock.now() / MINUTE_MS);
    for (let at = Math.max(0, nowMinute - MINUTES - first); at < told.minutes.length; at += 1) {
      const letter = told.outcomes[at] ?? "-";
      if (letter !== "-") cells.set(first + at, [told.minutes[at], letter, told.ticks[at] ?? 0]);
    }
    for (const minute of cells.keys()) if (minute < nowMinute - MINUTES - 5) cells.delete(minute);
  }

  #symbols() {
    return new Set([...this.#store.rows.values()].map((row) => row.symbol));
  }

  #geometry() {
    const width = this.#canvas.parentElement.clientWidth - 24;
    const narrow = width < 520;
    const minutes = narrow ? 60 : MINUTES;
    const cell = (width - LABEL - SHARE) / minutes;
    return { width, minutes, cell, last: Math.floor((this.#store.clock.now() ?? 0) / MINUTE_MS) };
  }

  draw = () => {
    const symbols = [...this.#symbols()];
    const { width, minutes, cell, last } = this.#geometry();
    if (width <= 0 || !this.#store.clock.known) return;
    const height = HEAD + symbols.length * LINE + 2;
    const ratio = devicePixelRatio || 1;
    const canvas = this.#canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const ink = canvas.getContext("2d");
    ink.setTransform(ratio, 0, 0, ratio, 0, 0);
    ink.clearRect(0, 0, width, height);
    const tones = { up: colour("up"), amber: colour("amber"), down: colour("down"), blue: colour("blue", 0.55), none: colour("none") };
    const [text, muted] = [colour("text"), colour("muted")];
    const family = getComputedStyle(document.body).fontFamily;
    const first = last - minutes + 1;
    ink.textBaseline = "middle";
    ink.font = `11px ${family}`;
    ink.fillStyle = muted;
    for (let minute = Math.ceil(first / 15) * 15; minute <= last; minute += minutes > 60 ? 30 : 15) {
      ink.fillText(format.minute(minute * MINUTE_MS), LABEL + (minute - first) * cell, HEAD / 2);
    }
    const told = [];
    symbols.forEach((symbol, at) => {
      const top = HEAD + at * LINE;
      ink.fillStyle = text;
      ink.font = `550 11.5px ${family}`;
      ink.fillText(symbol, 0, top + LINE / 2, LABEL - 8);
      const cells = this.#cells.get(symbol);
      let [live, open] = [0, 0];
      for (let minute = first; minute <= last; minute += 1) {
        const found = cells?.get(minute);
        const [covered, letter] = found ?? [null, "-"];
        if (letter === "f" || letter === "n" || letter === "g") {
          open += 1;
          live += covered ?? (letter === "g" ? 0 : 1);
        }
        ink.globalAlpha = letter === "-" ? 0.35 : 1;
        ink.fillStyle = toneOf(covered, letter, tones);
        ink.fillRect(LABEL + (minute - first) * cell, top + 2, Math.max(cell - (cell > 3 ? 1 : 0), 0.5), LINE - 4);
      }
      ink.globalAlpha = 1;
      ink.fillStyle = open && live / open < 0.995 ? tones.amber : muted;
      ink.font = `11px ${family}`;
      ink.textAlign = "right";
      const share = open ? format.share(live / open) : "–";
      ink.fillText(share, width, top + LINE / 2);
      ink.textAlign = "left";
      told.push(`${symbol} ${share}`);
    });
    attribute(canvas, "aria-label", `Coverage of the last ${minutes} minutes: ${told.slice(0, 20).join(", ") || "no instrument yet"}`);
  };

  #point(event) {
    const { minutes, cell, last } = this.#geometry();
    const symbols = [...this.#symbols()];
    const symbol = symbols[Math.floor((event.offsetY - HEAD) / LINE)];
    const minute = last - minutes + 1 + Math.floor((event.offsetX - LABEL) / cell);
    const found = this.#cells.get(symbol)?.get(minute);
    this.#tip.hidden = !found;
    if (!found) return;
    const [covered, letter, ticks] = found;
    const word = { f: `${format.share(covered)} live, ${format.count(ticks)} ticks`, n: "live, no ticks", g: "gap", c: "closed" }[letter];
    put(this.#tip, `${symbol} ${format.minute(minute * MINUTE_MS)}: ${word}`);
    const box = this.#canvas.parentElement;
    this.#tip.style.left = `${Math.min(event.offsetX + 12, box.clientWidth - 200)}px`;
    this.#tip.style.top = `${Math.max(0, event.offsetY - 26)}px`;
  }
}

function toneOf(covered, letter, tones) {
  if (letter === "-" || letter === "c") return tones.none;
  if (letter === "g") return tones.down;
  if (covered !== null && covered < 0.05) return tones.down;
  if (covered !== null && covered < 0.995) return tones.amber;
  return letter === "n" ? tones.blue : tones.up;
}
