// How much of what the venue allows is used: streaming subscriptions, and points of its history.
import { get } from "./api.js";
import { byId, make, mark, put } from "./dom.js";
import * as format from "./format.js";

export class Gauges {
  #store;
  #box = byId("gauges");
  #rows = new Map();

  constructor(store) {
    this.#store = store;
  }

  async load() {
    const { feeds, historical } = await get("allowance");
    const nowMs = this.#store.clock.now();
    const gauges = [];
    for (const [name, feed] of Object.entries(feeds ?? {})) {
      const used = feed.subscriptions ?? 0;
      const most = feed.subscriptions_max ?? null;
      const refused = Object.keys(feed.refused ?? {}).length;
      gauges.push({
        name: `${name} subscriptions`, used, most, tone: refused || (most && used >= most) ? "bad" : most && used > most * 0.9 ? "warn" : "",
        text: most ? `${format.count(used)} of ${format.count(most)}` : format.count(used),
        note: [format.words(feed.phase), refused ? `${format.count(refused)} refused` : ""].filter(Boolean).join(", "),
      });
    }
    for (const row of historical ?? []) {
      const used = row.total - row.remaining;
      const left = row.total ? row.available / row.total : 1;
      gauges.push({
        name: `${row.venue} history`, used, most: row.total, tone: left <= 0 ? "bad" : left < 0.15 ? "warn" : "",
        text: `${format.count(row.available)} of ${format.count(row.total)} to spend`,
        note: [
          row.booked ? `${format.count(row.booked)} booked` : "", row.reserve ? `${format.count(row.reserve)} reserved` : "",
          row.expires ? `anew ${format.moment(format.instant(row.expires), nowMs)}` : "", row.as_read === false ? "assumed: no reply yet" : "",
        ].filter(Boolean).join(", "),
      });
    }
    this.#show(gauges);
  }

  #show(gauges) {
    if (!gauges.length) {
      this.#rows.clear();
      if (!this.#box.querySelector(".empty")) this.#box.replaceChildren(make("p", { class: "empty" }, "No feed has subscribed to anything."));
      return;
    }
    this.#box.querySelector(".empty")?.remove();
    const names = new Set(gauges.map((gauge) => gauge.name));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      row.element.remove();
      this.#rows.delete(name);
    }
    for (const gauge of gauges) {
      let row = this.#rows.get(gauge.name);
      if (!row) {
        row = { text: make("span"), fill: make("i"), note: make("small") };
        row.bar = make("div", { class: "bar", role: "meter", "aria-label": gauge.name, "aria-valuemin": "0" }, row.fill);
        row.element = make("div", { class: "gauge" }, make("p", {}, make("span", {}, gauge.name), row.text), row.bar, row.note);
        this.#rows.set(gauge.name, row);
        this.#box.append(row.element);
      }
      put(row.text, gauge.text);
      put(row.note, gauge.note);
      mark(row.element, "tone", gauge.tone || null);
      row.bar.hidden = !gauge.most;
      row.bar.setAttribute("aria-valuemax", String(gauge.most || 1));
      row.bar.setAttribute("aria-valuenow", String(Math.min(gauge.used, gauge.most || 1)));
      row.bar.setAttribute("aria-valuetext", gauge.text);
      row.fill.style.width = `${gauge.most ? Math.min(100, (gauge.used / gauge.most) * 100) : 0}%`;
    }
  }
}
