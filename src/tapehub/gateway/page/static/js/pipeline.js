// The way of the data, drawn as it flows: venue, collector, hub, readers, with the counts at every hop.
import { get } from "./api.js";
import { byId, make, mark, put } from "./dom.js";
import * as format from "./format.js";
import { showFacts } from "./tables.js";

const SVG = "http://www.w3.org/2000/svg";

function arrow() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 38 14");
  for (const [shape, name] of [["M2 7h28", "stream"], ["M28 2.5 34 7l-6 4.5", ""]]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", shape);
    if (name) path.setAttribute("class", name);
    svg.append(path);
  }
  const rate = make("span", { class: "rate" });
  return { element: make("div", { class: "arrow" }, rate, svg), rate };
}

function hop(title) {
  const parts = { said: make("p", { class: "said" }), big: make("span"), unit: make("small"), facts: make("dl", { class: "facts" }), title: make("span", {}, title) };
  parts.element = make("div", { class: "hop", role: "group", "aria-label": title },
    make("h3", {}, make("span", { class: "dot", "aria-hidden": "true" }), parts.title), parts.said, make("p", { class: "big" }, parts.big, parts.unit), parts.facts);
  return parts;
}

export class Pipeline {
  #venue = hop("Venue");
  #collector = hop("Collector");
  #hub = hop("Hub");
  #readers = hop("Readers");
  #arrows = [arrow(), arrow(), arrow()];
  #before = null;

  constructor() {
    const { element } = this.#venue;
    const box = make("div", { class: "hops" }, element, this.#arrows[0].element, this.#collector.element, this.#arrows[1].element,
      this.#hub.element, this.#arrows[2].element, this.#readers.element);
    byId("pipeline").append(box);
  }

  async load() {
    this.#draw(await get("pipeline"));
  }

  #draw(told) {
    const nowMs = format.instant(told.now);
    const counts = { received: told.feed.received, accepted: told.quality.accepted, read: sum(told.readers, "delivered") + (told.gateway?.delivered ?? 0) };
    const rates = this.#rates(counts, nowMs);
    this.#drawVenue(told.venue);
    this.#drawCollector(told);
    this.#drawHub(told);
    this.#drawReaders(told);
    [rates.received, rates.accepted, rates.read].forEach((rate, at) => {
      const { element, rate: text } = this.#arrows[at];
      put(text, rate === null ? "" : `${format.number(rate, rate < 100 ? 1 : 0)}/s`);
      mark(element, "on", String(rate > 0));
    });
    this.#drawBalance(told);
  }

  #rates(counts, nowMs) {
    const before = this.#before;
    this.#before = { counts, nowMs };
    const passedS = before ? (nowMs - before.nowMs) / 1000 : 0;
    // Smoothed a little: a second holds few ticks of a quiet market.
    const rate = (name) => {
      if (passedS <= 0) return null;
      const fresh = Math.max(0, counts[name] - before.counts[name]) / passedS;
      return this.#smooth[name] = this.#smooth[name] === undefined || fresh === 0 ? fresh : this.#smooth[name] * 0.6 + fresh * 0.4;
    };
    return { received: rate("received"), accepted: rate("accepted"), read: rate("read") };
  }

  #smooth = {};

  #drawVenue(venue) {
    const feeds = venue.feeds ?? [];
    const well = feeds.length > 0 && feeds.every((feed) => feed.alive && feed.phase === "connected");
    mark(this.#venue.element, "tone", !feeds.length ? "none" : well ? "good" : "bad");
    put(this.#venue.said, feeds.length ? feeds.map((feed) => feed.where || feed.detail || feed.name).join(", ") : "no feed: callers publish");
    this.#venue.said.title = feeds.map((feed) => [feed.name, feed.where, feed.detail].filter(Boolean).join(": ")).join("\n");
    put(this.#venue.big, feeds.length ? feeds.map((feed) => feed.name).join(", ") : "–");
    const rows = feeds.slice(0, 2).flatMap((feed) => [
      [feeds.length > 1 ? feed.name : "State", feed.alive ? format.words(feed.phase) : "collector gone", feed.alive && feed.phase === "connected" ? "good" : "bad"],
      ["for", format.span(feed.for_s)],
      ["Heartbeat", feed.beat_s === null || feed.beat_s === undefined ? "none" : `${format.span(feed.beat_s)} ago`, feed.beat_s > 15 ? "warn" : ""],
      ["Instruments", format.count(feed.items)],
    ]);
    showFacts(this.#venue.facts, rows);
  }

  #drawCollector(told) {
    const { quality, feed, venue } = told;
    const gone = (venue.feeds ?? []).some((one) => !one.alive);
    mark(this.#collector.element, "tone", gone ? "bad" : quality.quarantined || quality.lost_in_producer ? "warn" : feed.received ? "good" : "none");
    put(this.#collector.big, format.count(feed.received));
    put(this.#collector.unit, "received");
    const reasons = Object.entries(quality.by_reason ?? {}).filter(([, count]) => count).map(([reason, count]) => `${format.words(reason)} ${format.count(count)}`).join(", ");
    put(this.#collector.said, gone ? "its process is gone" : reasons ? `quarantined: ${reasons}` : "quality gate: each quote has one fate");
    showFacts(this.#collector.facts, [
      ["Accepted", format.count(quality.accepted)],
      ["Duplicates", format.count(quality.duplicates)],
      ["Refused", format.count(quality.refused), quality.refused ? "warn" : ""],
      ["Quarantined", format.count(quality.quarantined), quality.quarantined ? "warn" : ""],
      ...(quality.lost_in_producer ? [["Lost in a dead process", format.count(quality.lost_in_producer), "bad"]] : []),
    ]);
  }

  #drawHub({ hub, balanced }) {
    mark(this.#hub.element, "tone", balanced ? "good" : "bad");
    put(this.#hub.said, `one log, epoch ${hub.epoch}`);
    put(this.#hub.big, format.count(hub.ticks));
    put(this.#hub.unit, "ticks");
    const quarantined = hub.by_kind?.quarantine ?? 0;
    showFacts(this.#hub.facts, [
      ["Records", format.count(hub.records)],
      ["Candles built", format.count(hub.candles_built)],
      ["States, gaps", `${format.count(hub.by_kind?.state ?? 0)}, ${format.count(hub.by_kind?.gap ?? 0)}`],
      ["In quarantine", format.count(quarantined), quarantined ? "warn" : ""],
    ]);
  }

  #drawReaders({ readers, gateway }) {
    const lag = Math.max(0, ...readers.map((reader) => reader.lag));
    const lost = sum(readers, "lost") + (gateway?.lost ?? 0);
    mark(this.#readers.element, "tone", lost ? "warn" : readers.length || gateway?.clients ? "good" : "none");
    put(this.#readers.said, readers.length ? [...new Set(readers.map((reader) => reader.name || "stream"))].join(", ") : "nobody follows the log");
    put(this.#readers.big, format.count(readers.length));
    put(this.#readers.unit, readers.length === 1 ? "reader" : "readers");
    showFacts(this.#readers.facts, [
      ["Behind", `${format.count(lag)} lines`, lag > 10_000 ? "warn" : ""],
      ["Lost", format.count(lost), lost ? "bad" : ""],
      ["Pages and programs", format.count(gateway?.clients)],
      ["Sent to them", format.compact(gateway?.delivered)],
    ]);
  }

  #drawBalance({ feed, quality, hub, balanced }) {
    const sumOf = quality.accepted + quality.duplicates + quality.refused + quality.quarantined + quality.in_flight + quality.lost_in_producer;
    // Nobody receives where callers publish: then the log's own count is all there is to balance.
    const off = feed.received ? feed.received - sumOf : 0;
    const box = byId("balance");
    mark(box, "ok", String(balanced && off === 0));
    const verdict = !balanced ? "the ledger does not add up" : off ? `${format.count(off)} unaccounted for` : "balanced";
    const terms = [["accepted", quality.accepted], ["duplicate", quality.duplicates], ["refused", quality.refused], ["quarantined", quality.quarantined], ["in flight", quality.in_flight], ["lost", quality.lost_in_producer]];
    const text = !feed.received ? `${format.count(hub.ticks)} ticks, published by callers ` : `${format.count(feed.received)} received = ${terms.filter(([name, value], at) => at === 0 || value || name === "in flight").map(([name, value]) => `${format.count(value)} ${name}`).join(" + ")} `;
    if (!box.firstChild) box.append("", make("b"));
    if (box.firstChild.data !== text) box.firstChild.data = text;
    put(box.lastChild, `${balanced && off === 0 ? "✓" : "✗"} ${verdict}`);
  }
}

const sum = (rows, name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);
