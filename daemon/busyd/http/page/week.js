// Seven days of a profile as a grid. The calendar knows no IANA zones, so it is given times of the profile's wall clock.

const DAYS = 7;
const HOUR = 3_600_000;
const HOUR_HEIGHT = 46;
const LINE_HEIGHT = 19;
const SHORT = 50 * 60_000;
const KINDS = {
  BUSY: ["busy", "Busy"],
  "BUSY-TENTATIVE": ["tentative", "Tentative"],
  "BUSY-UNAVAILABLE": ["unknown", "Not known, so not free"],
};

let calendar = null;
let drawn = "";
let first = "";
let lastAnswer = null;
let choose = () => {};

const wordFor = (type) => (KINDS[type] ?? KINDS["BUSY-UNAVAILABLE"])[1];

// `chosen` is called with the span that a person wants explained.
function beginWeek(chosen) {
  choose = chosen;
}

// Moves by days; 0 goes back to today.
function moveWeek(days, { timezone }) {
  first = days ? plusDays(first || dateIn(serverNow(), timezone), days) : "";
}

// Asks for the days shown, and draws them where they are others than those drawn.
async function refreshWeek(profile) {
  const zone = profile.timezone, today = dateIn(serverNow(), zone), start = first || today;
  const days = `start=${start}&end=${plusDays(start, DAYS)}`;
  const [answer, { events }] = await Promise.all([
    ask(pathOf(profile.name, `freebusy?${days}`)),
    may("details") ? ask(pathOf(profile.name, `explain?${days}`)).catch(() => ({ events: [] })) : { events: [] },
  ]);
  const titles = events.filter((event) => event.blocks);
  lastAnswer = { ...answer, zone };
  const key = JSON.stringify([profile.name, zone, today, start, answer.busy, titles]);
  if (key === drawn) return answer;
  drawn = key;
  element("today").disabled = start === today;
  const noon = (date) => instantOf(`${date}T12:00`, zone);
  element("week-title").textContent = `${profile.name}, ${day(noon(start), zone)} to ${day(noon(plusDays(start, DAYS - 1)), zone)}`;
  element("gaps").hidden = answer.complete;
  element("zone").textContent = `Times in ${zone}`;
  const options = {
    date: start,
    timeZone: offset(serverNow(), zone),
    events: answer.busy.map((busy, number) => eventOf(busy, { number, zone, titles })),
  };
  if (calendar) for (const [name, option] of Object.entries(options)) calendar.setOption(name, option);
  else calendar = createCalendar(options);
  return answer;
}

// Free or busy at this moment, in words; only to be shown while the answer is proven. Nothing for other weeks.
function sayNow() {
  if (first || !lastAnswer) return "";
  const { busy, end, zone } = lastAnswer, at = serverNow();
  const current = busy.find((one) => Date.parse(one.start) <= at && at < Date.parse(one.end));
  const until = (time) => `until ${dateIn(Date.parse(time), zone) === dateIn(at, zone) ? "" : `${day(Date.parse(time), zone)}, `}${clock(Date.parse(time), zone)}`;
  if (current ? current.type === "BUSY-UNAVAILABLE" : !lastAnswer.complete) return "Not known whether free now";
  if (current) return `${wordFor(current.type)} now, ${until(current.end)}`;
  return `Free now, ${until(busy.find((one) => Date.parse(one.start) > at)?.start ?? end)}`;
}

function createCalendar(options) {
  const made = EventCalendar.create(element("grid"), {
    view: "timeGridDay",
    duration: { days: DAYS },
    headerToolbar: { start: "", center: "", end: "" },
    allDaySlot: false,
    locale: "en-GB",
    dayHeaderFormat: { weekday: "short", day: "numeric", month: "short" },
    slotLabelFormat: { hour: "2-digit", minute: "2-digit", hourCycle: "h23" },
    slotDuration: "01:00",
    slotHeight: HOUR_HEIGHT,
    scrollTime: "06:45",
    height: "min(42rem, 75vh)",
    columnWidth: "minmax(6.5rem, 1fr)",
    nowIndicator: true,
    theme: (theme) => ({ ...theme, calendar: "ec ec-auto-dark" }),
    eventContent: contentOf,
    ...options,
  });
  element("grid").querySelector(".ec-main").tabIndex = 0; // it scrolls, also where it has no spans to move to
  new MutationObserver(dropRoles).observe(element("grid"), { childList: true, subtree: true });
  dropRoles();
  return made;
}

// The calendar calls itself a table, but its cells are empty: each span says its day itself.
function dropRoles() {
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
  const isShort = end - start < SHORT;
  const label = `${wordFor(busy.type)}: ${span(start, end, zone)}${names ? `, ${names}` : ""}`;
  const button = make("button", { type: "button", className: "span", title: label, onclick: () => choose(busy) },
    make("span", {}, make("b", {}, isShort && names ? clock(start, zone) : hours(start, end, zone)), " ", names && make("span", { className: "names" }, names)));
  button.ariaLabel = label;
  button.classList.toggle("short", isShort);
  const lines = Math.floor(((end - start) / HOUR) * HOUR_HEIGHT / LINE_HEIGHT) - 1;
  button.style.setProperty("--lines", Math.max(1, lines));
  return { domNodes: [button] };
}
