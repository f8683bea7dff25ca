// Everything by keyboard: one table of keys, which the help shows too.
import { byId, make } from "./dom.js";
import { TIMEFRAMES, TIMEFRAME_KEYS } from "./chart.js";

export class Keyboard {
  #keys;

  constructor({ store, watch, theme, zone }) {
    const help = byId("help");
    const search = byId("search");
    this.#keys = [
      { keys: ["↑", "↓"], on: { ArrowUp: () => watch.step(-1), ArrowDown: () => watch.step(1), k: () => watch.step(-1), j: () => watch.step(1) }, does: "another instrument (also k and j)" },
      { keys: ["Home", "End"], on: { Home: () => watch.step(-1e6), End: () => watch.step(1e6) }, does: "the first, the last instrument" },
      { keys: [TIMEFRAME_KEYS[0], "…", ...TIMEFRAME_KEYS.slice(8)], on: Object.fromEntries(TIMEFRAMES.map((name, at) => [TIMEFRAME_KEYS[at], () => store.useTimeframe(name)])), does: `timeframe: ${TIMEFRAMES.join(", ")}` },
      { keys: ["/"], on: { "/": () => { search.focus(); search.select(); } }, does: "search instruments; Esc ends it" },
      { keys: ["d"], on: { d: theme }, does: "light or dark" },
      { keys: ["u"], on: { u: zone }, does: "local time or UTC" },
      { keys: ["?"], on: { "?": () => (help.open ? help.close() : help.showModal()) }, does: "this help" },
    ];
    byId("keys-list").append(...this.#keys.flatMap(({ keys, does }) => [make("dt", {}, ...keys.flatMap((key) => [make("kbd", {}, key), " "])), make("dd", {}, does)]));
    byId("help-open").addEventListener("click", () => help.showModal());
    document.addEventListener("keydown", (event) => this.#press(event));
    search.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" && event.key !== "Enter" && event.key !== "ArrowDown") return;
      if (event.key === "Escape") {
        search.value = "";
        search.dispatchEvent(new Event("input"));
      }
      event.preventDefault();
      watch.focus();
    });
  }

  #press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    if (byId("help").open && event.key !== "?") return;
    // Arrows scroll a list that has the focus, and move within a group of choices.
    if (event.key.startsWith("Arrow") && event.target.closest(".scroll, [role=radiogroup]")) return;
    for (const { on } of this.#keys) {
      if (on[event.key]) {
        event.preventDefault();
        on[event.key]();
        return;
      }
    }
  }
}
