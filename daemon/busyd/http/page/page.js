// Draws the week from what the API answers without a token on this machine. Text is set as text, never as HTML.
"use strict";

const EVERY = 30_000;
const DAYS = 7;
const LEFT = 92, WIDTH = 840, ROW = 22, GAP = 4, TOP = 18;
const CLASSES = { "BUSY": "busy", "BUSY-TENTATIVE": "tentative", "BUSY-UNAVAILABLE": "unknown" };
const STATES = {
  fresh: "up to date",
  stale: "out of date",
  incomplete: "incomplete",
  loading: "loading",
  unconfigured: "no calendars",
};
const SVG = "http://www.w3.org/2000/svg";

async function ask(path) {
  const answer = await fetch(path, { headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.fix ? `${body.detail}. ${body.fix}` : body.detail);
  return body;
}

function draw(parent, name, attributes, text) {
  const shape = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  if (text !== undefined) shape.textContent = text;
  return parent.appendChild(shape);
}

// The next days as dates of the profile's own zone; the API turns each into its midnights.
function datesFrom(now, zone) {
  const today = new Intl.DateTimeFormat("en-CA", { timeZone: zone }).format(now);
  const first = Date.parse(`${today}T00:00:00Z`);
  return Array.from({ length: DAYS + 1 }, (_, day) => new Date(first + day * 86_400_000).toISOString().slice(0, 10));
}

function drawDay(picture, row, date, answer, now) {
  const start = Date.parse(answer.start), length = Date.parse(answer.end) - start;
  const y = TOP + row * (ROW + GAP);
  const at = (instant) => LEFT + (WIDTH - LEFT) * (instant - start) / length;
  const name = new Date(`${date}T12:00:00Z`).toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });
  draw(picture, "text", { x: 0, y: y + 16, class: row === 0 ? "today" : "" }, name);
  draw(picture, "rect", { x: LEFT, y, width: WIDTH - LEFT, height: ROW, rx: 4, class: "day" });
  for (const span of answer.busy) {
    const from = at(Date.parse(span.start));
    const shape = draw(picture, "rect", {
      x: from, y: y + 1, width: Math.max(1.5, at(Date.parse(span.end)) - from), height: ROW - 2, rx: 3,
      class: CLASSES[span.type] ?? "unknown",
    });
    draw(shape, "title", {}, `${clock(span.start, answer.zone)} – ${clock(span.end, answer.zone)}`);
  }
  if (now > start && now < start + length) draw(picture, "line", { x1: at(now), x2: at(now), y1: y - 2, y2: y + ROW + 2, class: "now" });
}

function clock(instant, zone) {
  return new Date(instant).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", timeZone: zone });
}

function drawHours(picture) {
  const bottom = TOP + DAYS * (ROW + GAP);
  for (let hour = 0; hour <= 24; hour += 6) {
    const x = LEFT + (WIDTH - LEFT) * hour / 24;
    draw(picture, "line", { x1: x, x2: x, y1: TOP, y2: bottom, class: "hour" });
    draw(picture, "text", { x, y: 11, "text-anchor": hour === 0 ? "start" : hour === 24 ? "end" : "middle" }, `${hour}:00`);
  }
}

function ago(instant, now) {
  if (!instant) return "never confirmed";
  const seconds = Math.max(0, Math.round((now - Date.parse(instant)) / 1000));
  const [count, unit] = seconds < 90 ? [seconds, "second"] : seconds < 5400 ? [Math.round(seconds / 60), "minute"] : [Math.round(seconds / 3600), "hour"];
  return `confirmed ${count} ${unit}${count === 1 ? "" : "s"} ago`;
}

// Joins spans of the same type that touch: an answer for a day ends at midnight, but the event may go on.
function joined(spans) {
  const whole = [];
  for (const span of spans) {
    const last = whole.at(-1);
    if (last && last.end === span.start && last.type === span.type) last.end = span.end;
    else whole.push({ ...span });
  }
  return whole;
}

function sayNext(days, zone, now) {
  const first = joined(days.flatMap((day) => day.busy)).find((span) => Date.parse(span.end) > now);
  if (!first) return `Free for the next ${DAYS} days.`;
  const date = { weekday: "long", timeZone: zone };
  const day = (instant) => new Date(instant).toLocaleDateString(undefined, date);
  if (Date.parse(first.start) <= now) {
    if (first.type === "BUSY-UNAVAILABLE") return "Unknown, so not free.";
    const until = day(first.end) === day(now) ? "" : ` on ${day(first.end)}`;
    return `Busy now, until ${clock(first.end, zone)}${until}.`;
  }
  return `Free now. Next busy on ${day(first.start)}, ${clock(first.start, zone)} – ${clock(first.end, zone)}.`;
}

async function show(profile, now) {
  const zone = profile.timezone, dates = datesFrom(now, zone);
  const path = `/v1/profiles/${encodeURIComponent(profile.name)}/freebusy`;
  const days = await Promise.all(dates.slice(0, DAYS).map((date, day) => ask(`${path}?start=${date}&end=${dates[day + 1]}`)));
  const card = document.getElementById("profile").content.cloneNode(true);
  card.querySelector(".name").textContent = profile.name;
  const state = card.querySelector(".state");
  state.textContent = STATES[profile.state] ?? profile.state;
  state.classList.toggle("fresh", profile.state === "fresh");
  const calendars = days[0].calendars.map((calendar) => calendar.state === "fresh" ? calendar.calendar : `${calendar.calendar} (${calendar.state})`);
  card.querySelector(".facts").textContent = [ago(profile.as_of, now), zone, ...calendars].join(" · ");
  const picture = card.querySelector(".week");
  picture.setAttribute("viewBox", `0 0 ${WIDTH} ${TOP + DAYS * (ROW + GAP)}`);
  picture.setAttribute("aria-label", `When ${profile.name} is busy in the next ${DAYS} days`);
  days.forEach((day, row) => drawDay(picture, row, dates[row], { ...day, zone }, now));
  drawHours(picture);
  card.querySelector(".next").textContent = sayNext(days, zone, now);
  return card;
}

function help(profiles) {
  const name = profiles[0]?.name ?? "PROFILE";
  document.getElementById("curl").textContent = [
    `curl '${location.origin}/v1/profiles/${name}/freebusy?start=now&end=%2B7d'`,
    `curl '${location.origin}/v1/profiles/${name}/slots?end=%2B7d&duration=30m'`,
  ].join("\n");
  document.getElementById("feed").textContent = `busyd token add ${name} --name "my phone"`;
}

async function refresh() {
  const summary = document.getElementById("summary");
  try {
    const now = Date.now();
    const { profiles } = await ask("/v1/profiles");
    const cards = await Promise.all(profiles.map((profile) => show(profile, now)));
    document.getElementById("profiles").replaceChildren(...cards);
    help(profiles);
    const good = profiles.filter((profile) => profile.state === "fresh").length;
    summary.textContent = profiles.length === 0 ? "No profiles are configured yet." : `${good} of ${profiles.length} up to date`;
  } catch (error) {
    summary.textContent = error instanceof TypeError ? "busyd is not responding." : error.message;
  }
}

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
