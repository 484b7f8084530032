// What the answers are made from: connections and calendars, how each counts, and what is wrong with them.

const CALENDAR_STATES = { fresh: "up to date", stale: "out of date", "never-read": "never read", missing: "missing", read: "up to date" };

// `answer` is one about free/busy, which names the calendars that count to everybody.
async function refreshCalendars(profile, answer) {
  if (!may("details") && !may("admin")) {
    fill("calendars", answer.calendars.map(({ as_of, ...rest }) => rest), () => [
      table(["Calendar", "State"], answer.calendars.map((calendar) => [calendar.calendar, stateOf(calendar)])),
      make("p", { className: "quiet" }, "How each counts is shown to a token with the scope ", make("code", {}, "details"), "."),
    ]);
    return;
  }
  const status = await ask(`/v1/status?profile=${encodeURIComponent(profile.name)}`);
  const { links, calendars } = status.profiles[0];
  const connections = status.connections.map(({ name, kind, state: how, detail, code, last_poll, reminders: lists, calendars: own }) => ({
    name, kind, how, detail, code, age: last_poll ? ago(Math.floor((serverNow() - Date.parse(last_poll)) / 60_000) * 60_000) : "never",
    reminders: lists, calendars: own.map((calendar) => ({ name: calendar.name, calendar: calendar.calendar, kind: calendar.kind, transparent: calendar.transparent, detail: calendar.detail, ...calendars.find((known) => known.calendar === calendar.calendar) })),
  }));
  const lost = calendars.filter((one) => !status.connections.some(({ calendars: own }) => own.some(({ calendar }) => calendar === one.calendar)));
  const troubles = status.problems.filter(({ incomplete, accepted }) => incomplete && !accepted);
  const hooks = status.webhooks.map(({ profile: whose, host, state: how, detail, fix }) => [whose === "*" ? `${host} (all profiles)` : host, how === "ok" ? "delivered" : trouble([detail, fix].join("; "))]);
  fill("calendars", [connections.map(timeless), lost, links, troubles, status.webhooks.map(({ host, state: how, detail }) => [host, how, detail]), status.configuration], () => [
    status.configuration && make("p", {}, trouble(status.configuration)),
    connections.map((connection) => part(connection, links)),
    lost.length > 0 && table(["Not found", "What to do"], lost.map((one) => [one.calendar, trouble(one.detail || one.state)])),
    hooks.length > 0 && table(["Webhook", "State"], hooks),
    troubles.length > 0 && table(["Event not understood", "Why"], troubles.map((one) => [`${one.calendar}: ${one.uid || one.href}`, trouble(one.reason)])),
  ].flat());
}

// Without the moments that move with every poll.
const timeless = ({ calendars, ...connection }) => [connection, calendars.map(({ as_of, ...rest }) => rest)];

const trouble = (text) => make("span", { className: "trouble" }, prose(text));

const stateOf = ({ state: word, detail }) => word === "fresh" && !detail ? CALENDAR_STATES.fresh : trouble([CALENDAR_STATES[word] ?? word, detail].filter(Boolean).join(": "));

function part({ name, kind, how, detail, code, age, calendars, reminders: lists }, links) {
  return make("div", { className: "connection" },
    make("h3", {}, name, make("span", { className: "quiet" }, ` ${kind}, last answered ${age.startsWith("0 s") ? "just now" : age}`)),
    (detail || !["ok", "starting"].includes(how)) && make("p", {}, trouble(`${detail || how}${code ? ` [${code}]` : ""}`)),
    table(["Calendar", "Counts as", "State"], calendars.map((calendar) => [calendar.name, role(calendar, links), calendar.state ? stateOf({ ...calendar, detail: calendar.detail === detail ? "" : calendar.detail }) : calendar.detail ? trouble(calendar.detail) : "–"])),
    lists.length > 0 && make("p", { className: "quiet" }, `Reminders lists, which hold no events and never block: ${lists.join(", ")}`));
}

function role(calendar, links) {
  const link = links.find((one) => one.calendar === calendar.calendar);
  if (!link) return make("span", { className: "quiet" }, calendar.transparent ? "nothing: its events are marked as free" : "nothing: not linked");
  const word = link.blocks ? (link.role === "primary" ? "busy; written to (primary)" : "busy") : "nothing: only written to";
  return [word, ...link.rules].join(", ");
}
