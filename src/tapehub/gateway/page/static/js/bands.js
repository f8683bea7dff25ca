// What lies behind the candles: spans without a live feed, shaded, and a line where a session begins.

/** A primitive of lightweight-charts, attached to the candles. Times are seconds since 1970. */
export class Bands {
  #chart = null;
  #request = () => {};
  #gaps = [];
  #breaks = [];
  #spanS = 60;
  #ink = { gap: "#f002", line: "#8884" };

  attached({ chart, requestUpdate }) {
    this.#chart = chart;
    this.#request = requestUpdate;
  }

  /** @param gaps [[start, end], …] */
  show(gaps, breaks, spanS, ink) {
    this.#gaps = gaps;
    this.#breaks = breaks;
    this.#spanS = spanS;
    this.#ink = ink;
    this.#request();
  }

  paneViews() {
    return this.#views;
  }

  #views = [{ zOrder: () => "bottom", renderer: () => ({ draw: (target) => target.useMediaCoordinateSpace((scope) => this.#draw(scope)) }) }];

  #draw({ context, mediaSize }) {
    const scale = this.#chart.timeScale();
    const spacing = scale.options().barSpacing;
    const left = (seconds) => {
      const index = scale.timeToIndex(seconds, true);
      const x = index === null ? null : scale.logicalToCoordinate(index);
      return x === null ? null : x - spacing / 2;
    };
    context.fillStyle = this.#ink.gap;
    for (const [start, end] of this.#gaps) {
      // A whole interval is shaded as soon as the gap touches it, so that a short one is seen at all.
      const from = left(Math.floor(start / this.#spanS) * this.#spanS);
      const to = left(Math.floor((end - 1e-3) / this.#spanS) * this.#spanS);
      if (from === null || to === null || to + spacing < 0 || from > mediaSize.width) continue;
      context.fillRect(from, 0, Math.max(to + spacing - from, 2), mediaSize.height);
    }
    context.strokeStyle = this.#ink.line;
    context.lineWidth = 1;
    context.setLineDash([3, 3]);
    context.beginPath();
    for (const seconds of this.#breaks) {
      const x = left(seconds);
      if (x === null || x < 0 || x > mediaSize.width) continue;
      context.moveTo(Math.round(x) + 0.5, 0);
      context.lineTo(Math.round(x) + 0.5, mediaSize.height);
    }
    context.stroke();
    context.setLineDash([]);
  }
}

// ---------------------------------------------------------------- sessions

const newYork = new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York", hourCycle: "h23", year: "numeric", month: "numeric", day: "numeric", hour: "numeric" });
const offsets = new Map();

/** Seconds that New York's clock is behind UTC at this time (negative numbers are ahead). */
function behindUtcS(seconds) {
  const hour = Math.floor(seconds / 3600);
  let found = offsets.get(hour);
  if (found === undefined) {
    const part = Object.fromEntries(newYork.formatToParts(hour * 3_600_000).map(({ type, value }) => [type, Number(value)]));
    found = hour * 3600 - Date.UTC(part.year, part.month - 1, part.day, part.hour) / 1000;
    offsets.set(hour, found);
  }
  return found;
}

/** Number the trading day: it begins at 17:00 in New York. */
export const tradingDay = (seconds) => Math.floor((seconds - behindUtcS(seconds) + 7 * 3600) / 86_400);
