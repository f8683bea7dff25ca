// What happened: state changes, gaps, quarantine, notes, clocks, epochs; the newest first, some hundreds kept.
import { get } from "./api.js";
import { byId, make, nextFrame, put } from "./dom.js";
import * as format from "./format.js";

export const KINDS = ["state", "gap", "quarantine", "clear", "note", "clock", "epoch"];
const KEPT = 200;

export class Events {
  #store;
  #records = new Map();
  #head = 0;
  #list = byId("events");
  #drawn = new Map();

  constructor(store, socket) {
    this.#store = store;
    socket.addEventListener("batch", ({ detail }) => {
      // A state without a sequence was judged just now, not logged; those of a snapshot are no news.
      const mine = detail.records.filter((record) => KINDS.includes(record.kind) && !(detail.snapshot && record.seq === 0));
      if (mine.length) this.#take(mine);
    });
  }

  async load() {
    this.#records.clear();
    this.#head = 0;
    const { events } = await get("events", { limit: KEPT, kinds: KINDS.join(",") });
    this.#take(events);
  }

  #take(records) {
    for (const record of records) this.#place(record);
    if (this.#records.size > KEPT * 1.5) {
      for (const record of this.#newest().slice(KEPT)) this.#records.delete(keyOf(record));
    }
    nextFrame(this.#draw);
  }

  /** Ranked by the log's order: a clock that was set back would leave what happened before on top for ever. */
  #place(record) {
    if (record.seq) this.#head = Math.max(this.#head, record.seq);
    record.rank = record.seq || this.#head + 0.5;
    if (record.kind === "state") {
      const twin = this.#newest().find((one) => one.kind === "state" && one.symbol === record.symbol && one.source === record.source);
      if (twin && twin.about?.state === record.about?.state) {
        if (!record.seq) return; // judged just now, and known already
        if (!twin.seq) this.#records.delete(keyOf(twin)); // the log says now what was judged
      }
    }
    this.#records.set(keyOf(record), record);
  }

  #newest() {
    return [...this.#records.values()].sort((a, b) => b.rank - a.rank);
  }

  #draw = () => {
    const newest = this.#newest().slice(0, KEPT);
    const nowMs = this.#store.clock.now();
    put(byId("events-count"), newest.length ? "newest first" : "");
    if (!newest.length) {
      this.#list.replaceChildren(make("li", { class: "empty" }, "Nothing happened yet."));
      return;
    }
    const items = newest.map((record) => {
      const known = this.#drawn.get(keyOf(record));
      if (known) return known;
      const at = format.instant(record.ts_event);
      return make("li", { data: { seq: record.seq } },
        make("time", { title: format.full(at), dateTime: record.ts_event }, format.moment(at, nowMs)),
        make("span", { class: "kind" }, format.words(record.kind)),
        make("span", { class: "of" }, record.symbol || "hub"),
        told(record));
    });
    this.#drawn = new Map(newest.map((record, at) => [keyOf(record), items[at]]));
    // Those that stand already are not moved: only what is new goes before them, what is old goes.
    const kept = new Set(items);
    for (const child of [...this.#list.children]) if (!kept.has(child)) child.remove();
    let place = this.#list.firstChild;
    for (const item of items) {
      if (item === place) place = place.nextSibling;
      else this.#list.insertBefore(item, place);
    }
  };

  /** Times are written in another zone now. */
  redraw() {
    this.#drawn.clear();
    nextFrame(this.#draw);
  }
}

const keyOf = (record) => (record.seq ? record.seq : `${record.symbol} ${record.source} ${record.ts_event} ${record.about?.state}`);

function told(record) {
  const about = record.about ?? {};
  switch (record.kind) {
    case "state":
      return make("span", { class: "told" }, make("span", { class: "badge", data: { state: about.state } }, format.words(about.state)), about.cause ? ` ${about.cause}` : "");
    case "gap":
      return make("span", { class: "told" }, about.end === null ? `begins: ${about.cause}` : `${format.span((format.instant(about.end) - format.instant(about.start)) / 1000)}, ${format.gapStatus(about.status, about.end)}: ${about.cause}`);
    case "quarantine":
      return make("span", { class: "told tone-warn" }, [format.words(about.reason), about.detail].filter(Boolean).join(": "));
    case "note":
      return make("span", { class: "told" }, about.text ?? "");
    case "clear":
      return make("span", { class: "told" }, about.symbol ? `views of ${about.symbol} start anew` : "all views start anew");
    case "clock":
      return make("span", { class: "told" }, "the hub clock was set");
    case "epoch":
      return make("span", { class: "told tone-warn" }, `epoch ${about.epoch}: the tail of the log was cut in a recovery`);
    default:
      return make("span", { class: "told" }, "");
  }
}
