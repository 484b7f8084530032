// Why is this time taken? Everything that touches a span, in a dialog.

import { ask, element, make, may, pathOf } from "./api.js";
import { span } from "./times.js";
import { wordFor } from "./week.js";

export function open(title, ...content) {
  element("dialog-title").textContent = title;
  element("dialog-body").replaceChildren(...content);
  if (!element("dialog").open) element("dialog").showModal();
}

export const close = () => element("dialog").close();

element("close").onclick = close;

// `further` makes the buttons of an event that busyd itself keeps.
export async function explain({ name, timezone }, busy, further = () => []) {
  const title = `${wordFor(busy.type)}: ${span(Date.parse(busy.start), Date.parse(busy.end), timezone)}`;
  if (!may("details")) {
    open(title, make("p", {}, "What is there needs a token with the scope ", make("code", {}, "details"), ": ",
      make("a", { href: "/login" }, "log in"), "."));
    return;
  }
  open(title, make("p", { className: "quiet" }, "Asking …"));
  try {
    const { events } = await ask(pathOf(name, `explain?start=${busy.start}&end=${busy.end}`));
    const list = (chosen) => make("ul", { className: "events" }, events.filter(chosen).map((event) => describe(event, timezone, further)));
    open(title, list((event) => event.blocks));
    if (events.some((event) => !event.blocks)) {
      element("dialog-body").append(make("h3", {}, "Also there, but does not count"), list((event) => !event.blocks));
    }
  } catch (error) {
    open(title, make("p", { className: "trouble" }, error.message));
  }
}

function describe(event, zone, further) {
  return make("li", {},
    make("strong", {}, event.summary || "Untitled"), event.location && ` · ${event.location}`,
    make("p", {}, span(Date.parse(event.start), Date.parse(event.end), zone)),
    make("p", { className: "quiet" }, `${event.calendar}: ${event.explanation}`),
    event.notes.map((note) => make("p", { className: "quiet" }, note)),
    further(event));
}
