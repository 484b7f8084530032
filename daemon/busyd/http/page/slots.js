// When there is time, and what busyd itself keeps: appointments, holds and blocks.

const MOST_SLOTS = 8;
const OVER = ["cancelled", "refused", "removed"];
const OWN_KINDS = [["appointments", "Appointment", "Cancel"], ["holds", "Hold", "Give back"], ["blocks", "Block", "Remove"]];

let afterChange = () => {};

// `done` is called after something was afterChange.
function beginSlots(current, done) {
  afterChange = done;
  element("block").hidden = !may("book");
  element("block").onclick = () => keep(current(), (Math.floor(serverNow() / HOUR) + 1) * HOUR, HOUR);
}

function forgetSlots(why) {
  fill("slots", why, (text) => make("p", { className: "quiet" }, prose(text)));
}

async function refreshSlots(profile) {
  const length = element("length").value;
  try {
    const { slots } = await ask(pathOf(profile.name, `slots?end=${plusDays(dateIn(serverNow(), profile.timezone), DAYS)}${length && `&duration=${length}`}`));
    fill("slots", [profile, slots].map(({ name, timezone, ...rest }) => (name ? [name, timezone] : rest)), () => daysOf(profile, slots));
  } catch (error) {
    forgetSlots(reasonOf(error));
  }
  if (may("book")) await refreshOwn(profile);
}

function daysOf(profile, slots) {
  const zone = profile.timezone, days = Map.groupBy(slots, ({ start }) => dateIn(Date.parse(start), zone));
  if (!days.size) return make("p", { className: "quiet" }, `None in the next ${DAYS} days.`);
  return [...days.values()].map((ofDay) => make("div", { className: "day" },
    make("h3", {}, day(Date.parse(ofDay[0].start), zone)),
    make("ul", { className: "chips" },
      ofDay.slice(0, MOST_SLOTS).map((slot) => chip(profile, slot)),
      ofDay.length > MOST_SLOTS && rest(profile, ofDay.slice(MOST_SLOTS)))));
}

function rest(profile, slots) {
  const item = make("li", {}), more = () => item.replaceWith(...slots.map((slot) => chip(profile, slot)));
  item.append(make("button", { type: "button", className: "chip quiet", onclick: more }, `${slots.length} more`));
  return item;
}

function chip(profile, { start, end }) {
  const from = Date.parse(start), text = clock(from, profile.timezone);
  if (!may("book")) return make("li", {}, make("span", { className: "chip" }, text));
  const button = make("button", { type: "button", className: "chip", onclick: () => keep(profile, from, Date.parse(end) - from, true) }, text);
  button.ariaLabel = span(from, Date.parse(end), profile.timezone);
  return make("li", {}, button);
}

async function refreshOwn({ name, timezone }) {
  const lists = await Promise.all(OWN_KINDS.map(([path]) => ask(pathOf(name, `${path}?end=%2B90d`)).catch(() => ({}))));
  const rows = OWN_KINDS.flatMap(([path, kind, verb], number) => (lists[number][path] ?? []).map((row) => ({ ...row, path, kind, verb })));
  const live = rows.filter(({ state }) => !OVER.includes(state));
  live.sort((one, other) => one.start.localeCompare(other.start));
  fill("own", [name, live], () => live.length > 0 && [make("h3", {}, "Appointments, holds and blocks"),
    make("ul", { className: "events" }, live.map((row) => item(row, name, timezone)))]);
}

function item(row, name, zone) {
  const when = span(Date.parse(row.start), Date.parse(row.end), zone);
  const title = `${row.kind}${row.summary ? `: ${row.summary}` : ""}`;
  const button = make("button", { type: "button" }, row.verb);
  button.ariaLabel = `${row.verb}: ${title}, ${when}`;
  button.onclick = () => askFirst(`${row.verb}: ${title}, ${when}?`, row.verb, async () => {
    await ask(pathOf(name, `${row.path}/${row.id}`), { method: "DELETE", timeout: 30_000 });
    afterChange();
  });
  const until = row.expires && `, until ${clock(Date.parse(row.expires), zone)}`;
  const state = [row.state !== "booked" && row.state, row.reason, row.changed_elsewhere && `${row.changed_elsewhere} elsewhere`].filter(Boolean).join(", ");
  return make("li", { className: "row" }, make("div", {}, make("strong", {}, title, until), make("p", {}, when), state && make("p", { className: row.state === "attention" ? "trouble" : "quiet" }, state)), button);
}

// Offers to mark a time as busy, and to book an appointment where it is a slot.
function keep({ name, timezone, primary }, from, length, isSlot = false) {
  const field = (label, properties) => {
    const input = make("input", { required: true, ...properties });
    return [input, make("label", {}, label, input)];
  };
  const local = (instant) => wall(instant, timezone).slice(0, 16);
  const [start, startLabel] = field("From", { type: "datetime-local", value: local(from) });
  const [end, endLabel] = field("Until", { type: "datetime-local", value: local(from + length) });
  const [summary, summaryLabel] = field("What for", { required: false, maxLength: 200 });
  const iso = (input) => new Date(instantOf(input.value, timezone)).toISOString();
  const keys = {}; // the same one for the same wish from this dialog: nothing is booked twice
  const take = (path) => async () => {
    for (const input of [start, end]) if (!input.value) throw new Refused(0, { detail: "enter when it begins and ends" });
    const body = { start: iso(start), end: iso(end), summary: summary.value };
    const key = keys[path + JSON.stringify(body)] ??= `${Date.now()}-${Math.random()}`;
    await ask(pathOf(name, path), { method: "POST", key, timeout: 30_000, body });
    afterChange();
  };
  const canBook = isSlot && primary;
  openDialog(canBook ? "Take this time" : "Mark time as busy", make("div", { className: "fields" }, startLabel, endLabel, summaryLabel),
    make("p", { className: "quiet" }, `Times in ${timezone}. Marked as busy, it counts at once in every answer and feed, and no calendar has it.`, canBook && ` An appointment is written to ${primary}.`),
    canBook && act("Book an appointment", take("appointments")), act("Mark as busy", take("blocks")));
}
