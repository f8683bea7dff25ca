// In simulator mode: say so, and play faults. What becomes of them shows in the other panels by itself.
import { get, post } from "./api.js";
import { byId, put } from "./dom.js";
import { span } from "./format.js";

/** A mute instrument is seen to be stale after its threshold, and stays so for a while. */
const MUTE_AFTER_S = 8;

/** What each button asks the simulator for, of the chosen instrument. */
const FAULTS = {
  mute: ({ symbol, staleAfterS }) => {
    const seconds = Math.ceil(staleAfterS + MUTE_AFTER_S);
    return { plays: [{ kind: "mute", item: symbol, for: `${seconds}s` }], said: `${symbol} is mute for ${span(seconds)}; silence of more than ${span(staleAfterS)} is stale.` };
  },
  cut: () => ({ plays: [{ kind: "cut" }], said: "Every stream's socket was closed." }),
  expire_token: () => ({
    // Open streams outlive their token: only a new one shows that it is void.
    plays: [{ kind: "expire_tokens" }, { kind: "forget_sessions" }],
    said: "The tokens are void and the streams are gone: the collector has to log in again.",
  }),
  bad_tick: ({ symbol }) => ({
    plays: [{ kind: "scaled", item: symbol, count: 3 }], said: `Three ticks of ${symbol} come at 10,000 times their price: into quarantine, never into a candle.`,
  }),
};

export class Simulator {
  #store;

  constructor(store) {
    this.#store = store;
    for (const button of document.querySelectorAll("[data-fault]")) button.addEventListener("click", () => this.#play(button));
  }

  /** Show whether what is seen is a market's, by what the collectors say of their feeds, and what there is to play with. */
  async load(clock) {
    const [{ components }, status] = await Promise.all([get("components"), get("status")]);
    const feeds = Object.entries(status.made_up);
    const simulates = components.some((row) => row.name === "simulator");
    const replays = feeds.length > 0 && feeds.every(([, label]) => label === "REPLAY") && !simulates;
    clock.describe(status.clock); // it may have been set since the greeting
    byId("simulator").hidden = !simulates && !feeds.length && clock.label !== "SIMULATED";
    byId("simulator").setAttribute("aria-label", replays ? "Replay" : "Simulator");
    for (const button of document.querySelectorAll("[data-fault]")) button.hidden = !simulates;
    put(byId("simulator-label"), replays ? "REPLAY" : "SIMULATED");
    const names = feeds.map(([name]) => name).join(", ");
    put(byId("simulator-text"), simulates ? "A simulated venue: no account, no money. Play a fault and watch what happens."
      : replays ? `Recorded quotes (${names}), played again: no market is like that now.`
      : feeds.length ? `Made-up quotes (${names}): no venue, no account.` : "The hub runs on a simulated clock.");
  }

  async #play(button) {
    const { plays, said } = FAULTS[button.dataset.fault](this.#store.chosenRow);
    button.disabled = true;
    try {
      for (const fault of plays) await post("simulator/fault", fault);
      put(byId("fault-said"), said);
    } catch (error) {
      put(byId("fault-said"), `Not played: ${error.message}`);
    }
    button.disabled = false;
  }
}
