// Numbers and times as the reader's locale writes them. Formatters are made once: making one costs more than using it.
import { remember, remembered } from "./dom.js";

export const LOCALE = navigator.languages?.length ? [...navigator.languages] : undefined;
const NOTHING = "–";

const fixed = new Map();
function fixedTo(decimals) {
  let found = fixed.get(decimals);
  if (!found) {
    found = new Intl.NumberFormat(LOCALE, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
    fixed.set(decimals, found);
  }
  return found;
}
const whole = new Intl.NumberFormat(LOCALE, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(LOCALE, { notation: "compact", maximumFractionDigits: 1 });
const percent = new Intl.NumberFormat(LOCALE, { style: "percent", maximumFractionDigits: 1 });
const units = Object.fromEntries(
  ["second", "minute", "hour", "day", "millisecond", "byte"].map((unit) => [
    unit,
    [0, 1].map((digits) => new Intl.NumberFormat(LOCALE, {
      style: "unit", unit, unitDisplay: "narrow", minimumFractionDigits: digits, maximumFractionDigits: digits,
    })),
  ]),
);

const known = (value) => typeof value === "number" && Number.isFinite(value);
export const count = (value) => (known(value) ? whole.format(value) : NOTHING);
export const compact = (value) => (known(value) ? (value < 10_000 ? whole.format(value) : short.format(value)) : NOTHING);
export const number = (value, decimals = 2) => (known(value) ? fixedTo(decimals).format(value) : NOTHING);
export const share = (value) => (known(value) ? percent.format(value) : NOTHING);

/** Say a span: 0.4s, 12s, 3m, 2h, 5d. */
export function span(seconds) {
  if (!known(seconds)) return NOTHING;
  const value = Math.max(0, seconds);
  if (value < 9.95) return units.second[1].format(value);
  if (value < 99.5) return units.second[0].format(value);
  if (value < 5_970) return units.minute[0].format(value / 60);
  if (value < 172_800) return units.hour[0].format(value / 3600);
  return units.day[0].format(value / 86_400);
}

/** Write a price with its digits: plain text. */
export const price = (value, decimals) => (known(value) ? fixedTo(decimals).format(value) : NOTHING);

/** Cut a price where it is read: what stands before, the two digits that end in the pip, the fraction of a pip. */
export function priceParts(value, decimals, pipSize) {
  if (!known(value)) return [NOTHING, "", ""];
  const text = price(value, decimals);
  const pipDigits = pipSize > 0 ? Math.round(-Math.log10(pipSize)) : decimals;
  const behind = Math.max(0, decimals - Math.max(pipDigits, 0));
  // A pip of a whole point: the separator stands between pip and fraction, and goes with the fraction.
  const end = behind === 0 ? text.length : text.length - behind - (pipDigits <= 0 && decimals > 0 ? 1 : 0);
  let begin = end;
  for (let digits = 0; begin > 0 && digits < 2; begin -= 1) if (/\p{Nd}/u.test(text[begin - 1])) digits += 1;
  return [text.slice(0, begin), text.slice(begin, end), text.slice(end)];
}

// ---------------------------------------------------------------- times

let zone = remembered("zone", "local");
let dates = {};
function setUp() {
  const timeZone = zone === "utc" ? "UTC" : undefined;
  const made = (options) => new Intl.DateTimeFormat(LOCALE, { timeZone, ...options });
  dates = {
    clock: made({ hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    minute: made({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    day: made({ day: "numeric", month: "short" }),
    month: made({ month: "short", year: "numeric" }),
    year: made({ year: "numeric" }),
    full: made({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" }),
    key: new Intl.DateTimeFormat("en-CA", { timeZone, year: "numeric", month: "2-digit", day: "2-digit" }),
    zone: made({ timeZoneName: "short" }),
  };
}
setUp();

export const zoneName = () => zone;
export function switchZone() {
  zone = zone === "utc" ? "local" : "utc";
  remember("zone", zone);
  setUp();
}
export const zoneLabel = (ms) =>
  zone === "utc" ? "UTC" : (dates.zone.formatToParts(ms).find((part) => part.type === "timeZoneName")?.value ?? "");

const at = (format) => (ms) => (known(ms) ? dates[format].format(ms) : NOTHING);
export const clock = at("clock");
export const minute = at("minute");
export const day = at("day");
export const month = at("month");
export const year = at("year");
export const full = at("full");
/** Time of day; with the day where that is not today's. */
export function moment(ms, nowMs) {
  if (!known(ms)) return NOTHING;
  return dates.key.format(ms) === dates.key.format(nowMs) ? clock(ms) : `${day(ms)} ${minute(ms)}`;
}

/** Read an ISO time with nanoseconds to the millisecond; null where it is not known. */
export function instant(text) {
  if (!text) return null;
  const ms = Date.parse(text.length > 24 ? `${text.slice(0, 23)}Z` : text);
  return Number.isNaN(ms) ? null : ms;
}

/** A gap that is over and whose ticks are missing is "open" in the log: people took it for one that goes on. */
export const gapStatus = (status, end) => (status === "open" ? (end === null ? "going on" : "not filled") : words(status));
export const words = (text) => String(text ?? "").replaceAll("_", " ");
