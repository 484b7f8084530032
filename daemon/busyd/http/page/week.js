// Seven days of a profile as a grid. The calendar knows no IANA zones, so it is given times of the profile's wall clock.

/* global EventCalendar */
import { ask, element, make, may, pathOf } from "./api.js";
import { clock, dateIn, offset, plusDays, span, wall } from "./times.js";
import { serverNow } from "./trust.js";

const DAYS = 7;
const KINDS = {
  BUSY: ["busy", "Busy"],
  "BUSY-TENTATIVE": ["tentative", "Tentative"],
  "BUSY-UNAVAILABLE": ["unknown", "Not known, so not free"],
};

let calendar = null;
let drawn = "";
let first = "";
let choose = () => {};

export const wordFor = (type) => (KINDS[type] ?? KINDS["BUSY-UNAVAILABLE"])[1];

// `chosen` is called with the span that a person wants explained.
export function begin(chosen) {
  choose = chosen;
}

// Moves by days; 0 goes back to today.
export function move(days, { timezone }) {
  first = days ? plusDays(first || dateIn(serverNow(), timezone), days) : "";
}

// Asks for the days shown, and draws them where they are others than those drawn.
export async function refresh(profile) {
  const zone = profile.timezone, today = dateIn(serverNow(), zone), start = first || today;
  const days = `start=${start}&end=${plusDays(start, DAYS)}`;
  const [answer, { events }] = await Promise.all([
    ask(pathOf(profile.name, `freebusy?${days}`)),
    may("details") ? ask(pathOf(profile.name, `explain?${days}`)) : { events: [] },
  ]);
  const titles = events.filter((event) => event.blocks);
  const key = JSON.stringify([profile.name, zone, today, start, answer.busy, titles]);
  if (key === drawn) return answer;
  drawn = key;
  element("today").disabled = start === today;
  element("zone").textContent = `Times in ${zone}`;
  const options = {
    date: start,
    timeZone: offset(serverNow(), zone),
    events: answer.busy.map((busy, number) => eventOf(busy, { number, zone, titles })),
  };
  if (calendar) for (const [name, option] of Object.entries(options)) calendar.setOption(name, option);
  else calendar = create(options);
  return answer;
}

function create(options) {
  const made = EventCalendar.create(element("grid"), {
    view: "timeGridDay",
    duration: { days: DAYS },
    headerToolbar: { start: "", center: "", end: "" },
    allDaySlot: false,
    locale: "en-GB",
    dayHeaderFormat: { weekday: "short", day: "numeric", month: "short" },
    slotLabelFormat: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    slotDuration: "01:00",
    slotHeight: 44,
    scrollTime: "07:30",
    height: "min(42rem, 75vh)",
    columnWidth: "minmax(6.5rem, 1fr)",
    nowIndicator: true,
    theme: (theme) => ({ ...theme, calendar: "ec ec-auto-dark" }),
    eventContent: contentOf,
    ...options,
  });
  element("grid").querySelector(".ec-main").tabIndex = 0; // it scrolls, also where it has no spans to move to
  new MutationObserver(plain).observe(element("grid"), { childList: true, subtree: true });
  plain();
  return made;
}

// The calendar calls itself a table, but its cells are empty: each span says its day itself.
function plain() {
  for (const node of element("grid").querySelectorAll("[role]")) {
    node.removeAttribute("role");
    node.removeAttribute("aria-colindex");
  }
}

function eventOf(busy, { number, zone, titles }) {
  const start = wall(Date.parse(busy.start), zone);
  let end = wall(Date.parse(busy.end), zone);
  // In the night in which clocks are put back the wall clock can show an end before the start.
  if (end <= start) end = `${start.slice(0, 11)}23:59:00`;
  const inside = titles.filter((event) => event.start < busy.end && event.end > busy.start);
  return { id: `${number}-${drawn.length}`, start, end, classNames: [KINDS[busy.type]?.[0] ?? "unknown"], extendedProps: { busy, zone, inside } };
}

function hours(start, end, zone) {
  const from = clock(start, zone), to = clock(end, zone);
  return from === "00:00" && to === "00:00" ? "All day" : `${from} – ${to}`;
}

function contentOf({ event }) {
  const { busy, zone, inside } = event.extendedProps;
  const start = Date.parse(busy.start), end = Date.parse(busy.end);
  const names = [...new Set(inside.map(({ summary }) => summary || "Untitled"))].join(", ");
  const label = `${wordFor(busy.type)}: ${span(start, end, zone)}${names ? `, ${names}` : ""}`;
  const button = make("button", { type: "button", className: "span", title: label, onclick: () => choose(busy) },
    make("b", {}, hours(start, end, zone)), " ", names && make("span", {}, names));
  button.setAttribute("aria-label", label);
  return { domNodes: [button] };
}
