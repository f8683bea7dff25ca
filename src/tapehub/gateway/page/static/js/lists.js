// Gaps, quarantine, processes and readers: what the hub lists, newest or worst first.
import { get } from "./api.js";
import { byId, put } from "./dom.js";
import * as format from "./format.js";
import { Table } from "./tables.js";

const ROWS = 100;

export class Lists {
  #store;
  #gaps = new Table(byId("gaps"), [
    { head: "Instrument", kind: "strong" }, { head: "From" }, { head: "Until" }, { head: "Lasted", num: true }, { head: "Status" }, { head: "Cause", kind: "text" },
  ], "No gap: the feed has been there all the time.");
  #quarantine = new Table(byId("quarantine"), [
    { head: "Time" }, { head: "Instrument", kind: "strong" }, { head: "Reason" }, { head: "Bid", num: true }, { head: "Ask", num: true }, { head: "Detail", kind: "text" },
  ], "Nothing was quarantined.");
  #processes = new Table(byId("components"), [
    { head: "Process", kind: "strong" }, { head: "State" }, { head: "pid", num: true }, { head: "For", num: true }, { head: "Restarts", num: true }, { head: "Published", num: true }, { head: "Says", kind: "text" },
  ], "No process is attached.");
  #readers = new Table(byId("readers"), [
    { head: "Reader", kind: "strong" }, { head: "Behind", num: true }, { head: "Delivered", num: true }, { head: "Lost", num: true },
  ], "Nobody follows the log.");

  constructor(store) {
    this.#store = store;
  }

  async loadGaps() {
    const { gaps } = await get("gaps", { limit: 500 });
    this.#store.tell("gaps", gaps);
    const nowMs = this.#store.clock.now();
    const newest = [...gaps].sort((a, b) => (a.start < b.start ? 1 : -1)).slice(0, ROWS);
    const open = gaps.filter((gap) => gap.end === null).length;
    put(byId("gaps-count"), gaps.length ? `${format.count(gaps.length)}${open ? `, ${format.count(open)} going on` : ""}` : "");
    this.#gaps.show(newest.map((gap) => {
      const [start, end] = [format.instant(gap.start), format.instant(gap.end)];
      const tone = { open: end === null ? "bad" : "warn", filled: "good" }[gap.status] ?? "dim";
      return [
        gap.symbol, format.moment(start, nowMs), end === null ? ["lasts", "bad"] : format.moment(end, nowMs),
        format.span(((end ?? nowMs) - start) / 1000), [format.gapStatus(gap.status, gap.end), tone], gap.cause,
      ];
    }));
  }

  async loadQuarantine() {
    const { quarantine } = await get("quarantine", { limit: ROWS });
    const nowMs = this.#store.clock.now();
    put(byId("quarantine-count"), quarantine.length ? `the newest ${format.count(quarantine.length)}` : "");
    this.#quarantine.show([...quarantine].reverse().map((row) => {
      const decimals = this.#store.of(row.symbol)?.decimals ?? 5;
      return [
        format.moment(format.instant(row.ts), nowMs), row.symbol || "–", [format.words(row.reason), "warn"],
        format.price(row.bid, decimals), format.price(row.ask, decimals),
        [row.detail, row.not_stored ? `${format.count(row.not_stored)} more not stored` : ""].filter(Boolean).join("; "),
      ];
    }));
  }

  /** Show the processes of `up` where it tells of them, and whoever else is attached to the hub. */
  async loadProcesses() {
    const [{ processes }, { components }] = await Promise.all([get("processes"), get("components")]);
    const pids = new Set(components.map((row) => row.pid));
    const attached = processes.filter((row) => row.alive);
    const byPid = new Map(attached.map((row) => [row.pid, row]));
    const rows = components.map((row) => [
      row.name, [row.phase, { running: "good", starting: "warn", restarting: "bad", failed: "bad" }[row.phase] ?? "dim"],
      row.pid ? String(row.pid) : "–", format.span(row.for_s), row.restarts ? [format.count(row.restarts), "warn"] : "0",
      format.compact(byPid.get(row.pid)?.published), row.told ?? "",
    ]);
    const seen = new Set();
    for (const row of attached) {
      if (pids.has(row.pid) || seen.has(row.pid)) continue;
      seen.add(row.pid);
      rows.push([row.name || "python", ["attached", "good"], String(row.pid), format.span(Date.now() / 1000 - row.attached_ns / 1e9), "", format.compact(row.published), ""]);
    }
    put(byId("components-count"), format.count(rows.length));
    this.#processes.show(rows);
  }

  async loadReaders() {
    const { readers } = await get("readers");
    put(byId("readers-count"), readers.length ? format.count(readers.length) : "");
    this.#readers.show([...readers].sort((a, b) => b.lag - a.lag).map((row) => [
      `${row.name || "stream"} · ${row.pid}`, [`${format.count(row.lag)} lines`, row.lag > 10_000 ? "warn" : ""],
      format.compact(row.delivered), row.lost ? [format.count(row.lost), "bad"] : "0",
    ]));
  }
}
