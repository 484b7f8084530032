// What happened lately, from the log of changes.

const MOST_CHANGES = 12;

async function refreshChanges({ name, timezone }) {
  const { changes } = await ask(`/v1/changes?profiles=${encodeURIComponent(name)}&limit=${MOST_CHANGES}`);
  changes.reverse();
  fill("changes", [name, changes], () => changes.length ? make("ul", { className: "log" }, changes.map(({ event, data }) => make("li", {},
    make("span", { className: "quiet" }, `${day(Date.parse(data.at), timezone)}, ${clock(Date.parse(data.at), timezone)}`), " ", words(event, data, timezone))))
    : make("p", { className: "quiet" }, "Nothing yet."));
}

// Calls `told` whenever there is something new. Ends with the page.
function followChanges(told) {
  const stream = new EventSource("/v1/changes");
  for (const event of ["busy", "free", "appointment", "connection", "reset"]) stream.addEventListener(event, told);
}

function words(event, data, zone) {
  if (event === "connection") return `${data.connection}: ${data.state}${data.detail ? `. ${data.detail}` : ""}`;
  if (event === "appointment") return `Appointment: ${data.state}${data.start ? `, ${span(Date.parse(data.start), Date.parse(data.end), zone)}` : ""}`;
  if (!data.start) return "Too much changed at once to be listed";
  const what = data.uncertain ? "Uncertain" : event === "free" ? "Free again" : data.type === "BUSY-TENTATIVE" ? "Tentative" : "Busy";
  return `${what}: ${span(Date.parse(data.start), Date.parse(data.end), zone)}${data.calendars?.length ? ` (${data.calendars.join(", ")})` : ""}`;
}
