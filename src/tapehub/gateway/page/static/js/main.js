// The page: who hears what, and what is asked for how often.
import * as api from "./api.js";
import { Agents, KINDS as AGENT_KINDS } from "./agents.js";
import { Chart } from "./chart.js";
import { HubClock } from "./clock.js";
import { Coverage, MINUTE_STREAM } from "./coverage.js";
import { attribute, byId, make, mark, nextFrame, put, remember } from "./dom.js";
import { Events, KINDS as EVENT_KINDS } from "./events.js";
import { Flow } from "./flow.js";
import * as format from "./format.js";
import { Gauges } from "./gauges.js";
import { Keyboard } from "./keyboard.js";
import { Lists } from "./lists.js";
import { Pipeline } from "./pipeline.js";
import { Simulator } from "./simulator.js";
import { HubSocket } from "./socket.js";
import { Store } from "./store.js";
import { WatchList } from "./watchlist.js";

const root = document.documentElement;
const clock = new HubClock();
const url = new URL("api/v1/stream", location.href);
url.protocol = url.protocol.replace("http", "ws");
const socket = new HubSocket(url, () => clock.slept());
// The hub itself may be gone while its gateway still answers.
let hubHeard = true;
const isLive = () => socket.state === "live" && hubHeard;
const store = new Store(clock, isLive);

const chart = new Chart(store, socket);
const watch = new WatchList(store);
const flow = new Flow(store, socket);
const pipeline = new Pipeline();
const coverage = new Coverage(store, socket);
const lists = new Lists(store);
const gauges = new Gauges(store);
const events = new Events(store, socket);
const agents = new Agents(store, socket);
const simulator = new Simulator(store);

// ---------------------------------------------------------------- the socket

const ALL = 1;
socket.subscribe(ALL, { symbols: "*", kinds: ["tick", ...EVENT_KINDS, ...AGENT_KINDS], policy: "conflate", rate_hz: 10 });
socket.subscribe(MINUTE_STREAM, { symbols: "*", kinds: ["candle"], timeframes: ["1m"], policy: "conflate", rate_hz: 0.5 });

socket.addEventListener("hello", ({ detail }) => {
  clock.describe(detail.clock);
  clock.beat(detail.now);
  hubHeard = true;
  const other = store.hub.id && (store.hub.id !== detail.hub_id || store.hub.epoch !== detail.epoch);
  Object.assign(store.hub, { id: detail.hub_id, epoch: detail.epoch });
  if (other) store.clear();
  loadAll();
});
socket.addEventListener("beat", ({ detail }) => {
  clock.beat(detail.now);
  hearHub(detail.hub !== "gone");
});
socket.addEventListener("hub", ({ detail }) => {
  hearHub(detail.state !== "gone");
  if (detail.state === "replaced") {
    Object.assign(store.hub, { id: detail.hub_id, epoch: detail.epoch });
    store.clear();
    loadAll();
  }
});
socket.addEventListener("error", ({ detail }) => console.warn("tapehub: the stream refused:", detail.problem?.detail));
socket.addEventListener("link", ({ detail }) => {
  showLink();
  // A refused socket does not say why: a question over HTTP does.
  if (detail.state === "closed") api.get("clock").catch(() => {}).then(() => showStall());
});
socket.addEventListener("batch", ({ detail }) => {
  if (detail.id !== ALL) return;
  let [gaps, refused] = [false, false];
  for (const record of detail.records) {
    if (record.kind === "tick") {
      const row = store.row(record.symbol, record.source);
      if (row.tick(record)) store.tell("tick", row);
      if (row.state === "empty") row.state = "unverified";
    } else if (record.kind === "state" && record.about) {
      const row = store.row(record.symbol, record.source);
      row.state = record.about.state;
      row.cause = record.about.cause ?? "";
      store.tell("tick", row);
      askWhy();
    } else if (record.kind === "gap") gaps = true;
    else if (record.kind === "quarantine") refused = true;
  }
  if (gaps) askGaps();
  if (refused) askQuarantine();
});

function hearHub(heard) {
  if (heard === hubHeard) return;
  hubHeard = heard;
  showLink();
  if (heard) loadAll();
}

function showLink() {
  const state = hubHeard || socket.state !== "live" ? socket.state : "stalled";
  mark(root, "link", state);
  put(byId("link-text"), { live: "connected", stalled: "no word", closed: "reconnecting", connecting: "connecting" }[state]);
  attribute(byId("link"), "title", { live: "The hub beats each second", stalled: "Nothing comes from the hub", closed: "The connection is gone; trying again", connecting: "Connecting" }[state]);
  showStall(state);
  store.tell("link", state);
  if (state === "live") askStates();
}

/** Say that what stands here is of the past, and since when. */
function showStall(state = root.dataset.link) {
  const stalled = state === "stalled" || state === "closed";
  if (stalled) {
    const what = api.refused ? "Your session has ended."
      : state === "closed" ? "The connection to the hub is gone; this page reconnects by itself."
      : socket.state === "live" ? "The hub is gone, though its server answers." : "No word from the hub.";
    // The sentence is read out once; how long it holds already changes beside it.
    put(byId("stalled-what"), what);
    put(byId("stalled-for"), clock.known ? `Silent for ${format.span(socket.silentMs / 1000)}; what is shown is of ${format.clock(clock.now() - socket.silentMs * clock.rate)}.` : "");
    byId("login").hidden = !api.refused;
    mark(byId("verdict"), "outcome", "unknown");
    put(byId("why"), "Unknown: this page hears nothing from the hub.");
  }
  if (byId("stalled").hidden === stalled) byId("stalled").hidden = !stalled;
}

// ---------------------------------------------------------------- questions

const askWhy = api.poll(2_000, async () => {
  const told = await api.get("why");
  const before = byId("verdict").dataset.outcome;
  if (!isLive()) return;
  mark(byId("verdict"), "outcome", told.outcome);
  put(byId("why"), told.sentence);
  attribute(byId("verdict"), "title", told.sentence);
  if (before !== told.outcome) put(byId("announce"), told.sentence);
}, isLive);

const askStates = api.poll(1_000, async () => {
  const { states } = await api.get("states");
  for (const told of states) {
    const row = store.row(told.symbol, told.source);
    row.primary = told.primary;
    if (row.madeUp !== told.made_up) {
      row.madeUp = told.made_up;
      store.tell("rows");
    }
    if (row.state !== told.state) {
      row.state = told.state;
      row.cause = told.cause ?? "";
    } else if (told.cause) row.cause = told.cause;
    if (told.stale_after_s) row.staleAfterS = told.stale_after_s;
  }
}, isLive);

const askSnapshots = api.poll(5_000, async () => {
  const wanted = store.heard ? 2 : 60;
  const { snapshots } = await api.get("snapshot", { timeframe: "1m", limit: wanted });
  store.heard = true;
  for (const told of snapshots) {
    const row = store.row(told.symbol, told.source);
    Object.assign(row, { decimals: told.decimals ?? row.decimals, pipSize: told.pip_size ?? null, perMinute: told.ticks_per_minute ?? null });
    if (told.tick) row.tick(told.tick);
    row.minutes((told.candles ?? []).map((candle) => [format.instant(candle.timestamp), candle.close]));
    if (row.state === "empty") row.state = told.state;
    store.tell("tick", row);
  }
  store.tell("rows");
  if (!store.chosen) chooseFirst();
}, isLive);

const askThresholds = api.poll(5_000, async () => {
  const { thresholds } = await api.get("thresholds");
  for (const told of thresholds) {
    const row = store.rows.get(`${told.symbol} ${told.source}`);
    if (row) row.staleAfterS = told.stale_after_s;
  }
}, isLive);

const askInstruments = api.poll(60_000, async () => {
  const { instruments } = await api.get("instruments");
  for (const row of store.rows.values()) {
    const known = instruments[row.symbol];
    if (known) Object.assign(row, { decimals: known.decimals, pipSize: known.pip_size, calendar: known.calendar, primary: known.primary_source === row.source });
  }
}, isLive);

const askGaps = api.poll(10_000, () => lists.loadGaps(), isLive);
const askQuarantine = api.poll(10_000, () => lists.loadQuarantine(), isLive);
const askPipeline = api.poll(1_000, () => pipeline.load(), isLive);
const askProcesses = api.poll(2_000, () => lists.loadProcesses(), isLive);
const askReaders = api.poll(2_000, () => lists.loadReaders(), isLive);
const askGauges = api.poll(10_000, () => gauges.load(), isLive);
const askSimulator = api.poll(5_000, () => simulator.load(clock), isLive);
const askCoverage = api.poll(60_000, () => coverage.load(), isLive);

store.on("want-gaps", () => askGaps());
store.on("minute", (record) => {
  const row = store.of(record.symbol);
  if (row?.source === record.source) row.minutes([[format.instant(record.timestamp), record.close]]);
});
store.on("chosen", (row) => {
  history.replaceState(null, "", `#${encodeURIComponent(row.key)}`);
});

async function loadAll() {
  store.heard = false;
  askStates();
  await askSnapshots();
  await askInstruments();
  if (!store.chosen) chooseFirst();
  chart.reload();
  await Promise.allSettled([events.load(), agents.load(), name()]);
  for (const ask of [askWhy, askThresholds, askGaps, askQuarantine, askPipeline, askProcesses, askReaders, askGauges, askSimulator, askCoverage]) ask();
}

async function name() {
  const status = await api.get("status");
  store.hub.name = status.path?.split("/").at(-1) ?? "";
  put(byId("hub-name"), store.hub.name);
  attribute(byId("hub-name"), "title", `${status.path ?? ""}\nepoch ${status.epoch}, instance ${status.hub_id}\ntapehub ${status.version ?? ""}`);
  document.title = `${store.hub.name || "hub"} · tapehub`;
}

/** Read which row an address names; a text that no page wrote names none. */
function keyOf(fragment) {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return "";
  }
}

function chooseFirst() {
  const wanted = keyOf(location.hash.slice(1));
  const key = store.rows.has(wanted) ? wanted : store.rows.keys().next().value;
  if (key) store.choose(key);
}

// ---------------------------------------------------------------- the top line

store.on("aged", (tally) => {
  const nowMs = clock.now();
  put(byId("clock-time"), nowMs === null ? "--:--:--" : format.clock(nowMs));
  put(byId("clock-zone"), nowMs === null ? "" : format.zoneLabel(nowMs));
  showStall();
  const box = byId("tally");
  const text = JSON.stringify([...tally]);
  if (box.dataset.drawn === text) return;
  box.dataset.drawn = text;
  const order = ["live", "quiet", "unverified", "stale", "dead", "closed", "empty", "unknown"];
  box.replaceChildren(...order.filter((state) => tally.get(state)).map((state) =>
    make("li", { class: "badge", data: { state } }, `${format.count(tally.get(state))} ${state}`)));
});

function switchTheme() {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  remember("theme", root.dataset.theme);
  dress();
}

function dress() {
  chart.dress();
  nextFrame(coverage.draw);
}

function switchZone() {
  format.switchZone();
  dress();
  events.redraw();
  for (const ask of [askGaps, askQuarantine]) ask();
}

byId("theme").addEventListener("click", switchTheme);
byId("zone").addEventListener("click", switchZone);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
new Keyboard({ store, watch, theme: switchTheme, zone: switchZone });

// What a program that drives the page may look at: read only by agreement.
globalThis.tapehub = { store, clock, socket, chart };
