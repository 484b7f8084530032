// Instants, and the wall clock of a profile's zone. The page is in English, whatever the browser's language.

const LANGUAGE = "en-GB";
const DAY = 86_400_000;
const formats = new Map();

function format(zone, options) {
  const key = zone + JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(LANGUAGE, { timeZone: zone, ...options }));
  return formats.get(key);
}

// 2026-11-30T09:00:00 on the wall clock of a zone.
function wall(instant, zone) {
  const numbers = { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  const parts = Object.fromEntries(format(zone, numbers).formatToParts(instant).map(({ type, value }) => [type, value]));
  return `${parts.year}-${parts.month}-${parts.day}T${parts.hour}:${parts.minute}:${parts.second}`;
}

// Minutes by which a zone is ahead of UTC at an instant.
const ahead = (instant, zone) => Math.round((Date.parse(`${wall(instant, zone)}Z`) - instant) / 60_000);

// +01:00: what the calendar takes for a zone.
function offset(instant, zone) {
  const minutes = ahead(instant, zone), size = Math.abs(minutes);
  const two = (number) => String(number).padStart(2, "0");
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

// The instant at which the wall clock of a zone shows 2026-11-30T09:00.
function instantOf(local, zone) {
  const guess = Date.parse(`${local}Z`);
  return guess - 60_000 * ahead(guess - 60_000 * ahead(guess, zone), zone);
}

const dateIn = (instant, zone) => wall(instant, zone).slice(0, 10);

const plusDays = (date, days) => new Date(Date.parse(`${date}T00:00:00Z`) + days * DAY).toISOString().slice(0, 10);

const clock = (instant, zone) => format(zone, { hour: "2-digit", minute: "2-digit" }).format(instant);

const clockWithSeconds = (instant, zone) => format(zone, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(instant);

const day = (instant, zone) => format(zone, { weekday: "short", day: "numeric", month: "short" }).format(instant);

// "Mon 30 Nov, 09:00 to 10:00", with the second day only where it is another.
function span(start, end, zone) {
  const last = dateIn(end, zone) === dateIn(start, zone) ? "" : `${day(end, zone)}, `;
  return `${day(start, zone)}, ${clock(start, zone)} to ${last}${clock(end, zone)}`;
}

function ago(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 90) return `${seconds} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : seconds < 2 * 86_400 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}
