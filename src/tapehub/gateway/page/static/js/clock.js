// The hub clock, estimated between its beats by this machine's monotonic clock, which nobody sets back.
//
// Ages are told by this estimate, never by the browser's own idea of the time of day.
import { instant } from "./format.js";

const SUSPENDED_MS = 1_500;

export class HubClock {
  #hubMs = null;
  #atMs = 0;
  #wallMs = 0;
  rate = 1;
  mode = "";
  label = "";

  /** Take in what the hub says its time is. */
  beat(text) {
    const ms = instant(text);
    if (ms === null) return;
    this.#hubMs = ms;
    this.#atMs = performance.now();
    this.#wallMs = Date.now();
  }

  describe(told) {
    this.mode = told.mode ?? "";
    this.label = told.label ?? "";
    // The event clock stands still between records.
    this.rate = this.mode === "event" ? 0 : (told.rate ?? 1);
  }

  get known() {
    return this.#hubMs !== null;
  }

  /** Milliseconds since 1970 by the hub clock; null before it was heard of. */
  now() {
    return this.#hubMs === null ? null : this.#hubMs + (performance.now() - this.#atMs) * this.rate;
  }

  /** Tell whether this machine slept since the last beat: the monotonic clock may have stood still, so ages are unknown. */
  slept() {
    return this.#hubMs !== null && Date.now() - this.#wallMs - (performance.now() - this.#atMs) > SUSPENDED_MS;
  }
}
