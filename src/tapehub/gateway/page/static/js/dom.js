// Small things every panel needs: make an element, and touch the document only where something changed.

export const byId = (id) => document.getElementById(id);

/** Make an element: properties, `data` and `aria` attributes, children (nodes or texts). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.className = value;
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Set an element's text, if it differs. */
export function put(element, text) {
  const value = text ?? "";
  if (element.textContent !== value) element.textContent = value;
}

/** Set a data attribute, if it differs; null removes it. */
export function mark(element, name, value) {
  if (value === null || value === undefined) {
    if (name in element.dataset) delete element.dataset[name];
  } else if (element.dataset[name] !== String(value)) element.dataset[name] = value;
}

/** Set an attribute, if it differs. */
export function attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Read a colour that css/base.css registers, as the canvas understands it. */
export function colour(name, alpha = 1) {
  const value = getComputedStyle(document.documentElement).getPropertyValue(`--c-${name}`).trim();
  if (alpha === 1) return value;
  const [red, green, blue, own = 1] = value.match(/[\d.]+/g)?.map(Number) ?? [128, 128, 128];
  return `rgba(${red}, ${green}, ${blue}, ${own * alpha})`;
}

const waiting = new Set();
let asked = 0;

/** Run `draw` once in the next frame, however often it is asked for. */
export function nextFrame(draw) {
  waiting.add(draw);
  asked ||= requestAnimationFrame(() => {
    asked = 0;
    const now = [...waiting];
    waiting.clear();
    for (const each of now) each();
  });
}

export function remembered(name, otherwise) {
  try {
    return localStorage.getItem(`tapehub.${name}`) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function remember(name, value) {
  try {
    localStorage.setItem(`tapehub.${name}`, value);
  } catch {
    // Storage is closed to this page: the choice holds until it is reloaded.
  }
}
