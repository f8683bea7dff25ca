// Questions to the hub over HTTP, on the page's own cookie.

const WITHIN_MS = 6_000;
/** How often a question is asked that the hub is too busy for, and how long is waited at most between two. */
const TRIES = 4;
const WAIT_MAX_S = 3;

export class Problem extends Error {
  constructor(status, told) {
    super(told?.detail ?? `the server answered ${status}`);
    this.status = status;
    this.type = told?.type ?? "";
  }
}

/** The last answer was that nobody knows this page's reader any more. */
export let refused = false;

async function ask(path, options = {}, tries = 1) {
  const reply = await fetch(`api/v1/${path}`, {
    credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(WITHIN_MS), ...options,
    headers: { Accept: "application/json", ...options.headers },
  });
  refused = reply.status === 401;
  const waitS = Number(reply.headers.get("Retry-After"));
  if (reply.status === 503 && waitS > 0 && tries > 1) {
    await new Promise((go) => setTimeout(go, 1000 * Math.min(waitS, WAIT_MAX_S) * (0.75 + Math.random() / 2)));
    return ask(path, options, tries - 1);
  }
  const told = await reply.json().catch(() => null);
  if (!reply.ok) throw new Problem(reply.status, told);
  return told;
}

export const get = (path, parameters = {}) => {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== undefined));
  return ask(query.size ? `${path}?${query}` : path, {}, TRIES);
};

export const post = (path, body) =>
  ask(path, { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/**
 * Ask again and again while the page is seen and hears the hub; one question at a time.
 *
 * @returns a function that asks at once.
 */
export function poll(everyMs, question, isWanted) {
  let timer = 0;
  let busy = false;
  const run = async () => {
    clearTimeout(timer);
    if (busy) return;
    if (isWanted() && document.visibilityState === "visible") {
      busy = true;
      try {
        await question();
      } catch (error) {
        // What the hub cannot answer now is asked again; the socket tells when the hub itself is gone.
        console.debug("tapehub:", error.message);
      }
      busy = false;
    }
    timer = setTimeout(run, everyMs);
  };
  run();
  return run;
}
