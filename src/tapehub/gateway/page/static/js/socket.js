// The one socket to the hub: it reconnects by itself, and knows when it hears nothing.
//
// A connection that is open proves nothing. The server beats each second; after STALLED_MS without a word the page is told
// that it is stalled, after DROPPED_MS the socket is given up and another one opened.

export const STALLED_MS = 3_000;
const DROPPED_MS = 8_000;
const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5_000;
const LOOK_EVERY_MS = 250;

export class HubSocket extends EventTarget {
  #url;
  #socket = null;
  #heardMs = performance.now();
  #tries = 0;
  #again = 0;
  #subscriptions = new Map();
  #state = "connecting";
  #slept;

  /** @param slept tells whether this machine slept, as `HubClock.slept` */
  constructor(url, slept = () => false) {
    super();
    this.#url = url;
    this.#slept = slept;
    setInterval(() => this.#look(), LOOK_EVERY_MS);
    addEventListener("online", () => this.#soon());
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#soon());
    this.#open();
  }

  get state() {
    return this.#state;
  }

  /** Milliseconds since anything came. */
  get silentMs() {
    return performance.now() - this.#heardMs;
  }

  /** Subscribe now, and again after each reconnection. */
  subscribe(id, wanted) {
    this.#subscriptions.set(id, wanted);
    this.#send({ op: "subscribe", id, ...wanted });
  }

  unsubscribe(id) {
    if (this.#subscriptions.delete(id)) this.#send({ op: "unsubscribe", id });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    clearTimeout(this.#again);
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    const mine = (handle) => (event) => socket === this.#socket && handle(event);
    socket.addEventListener("open", mine(() => {
      for (const [id, wanted] of this.#subscriptions) this.#send({ op: "subscribe", id, ...wanted });
    }));
    socket.addEventListener("message", mine((event) => this.#hear(JSON.parse(event.data))));
    socket.addEventListener("close", mine((event) => this.#lost(event.code)));
  }

  #hear(message) {
    this.#heardMs = performance.now();
    this.#tries = 0;
    this.#become("live");
    this.#tell(message.op, message);
  }

  #lost(code) {
    this.#socket = null;
    this.#become("closed", code);
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.#tries, LONGEST_WAIT_MS) * (0.75 + Math.random() / 2);
    this.#tries += 1;
    this.#again = setTimeout(() => this.#open(), wait);
  }

  #soon() {
    if (this.#socket === null) {
      this.#tries = 0;
      this.#open();
    }
  }

  #look() {
    if (this.#state === "live" && (this.silentMs > STALLED_MS || this.#slept())) this.#become("stalled");
    const socket = this.#socket;
    if (socket && this.silentMs > DROPPED_MS && socket.readyState !== WebSocket.CLOSED) {
      // Its close event may take as long as the silence: this socket is not waited for.
      this.#heardMs = performance.now() - STALLED_MS;
      this.#socket = null;
      socket.close();
      this.#lost(0);
    }
  }

  #become(state, code = 0) {
    if (state === this.#state) return;
    this.#state = state;
    this.#tell("link", { state, code });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
