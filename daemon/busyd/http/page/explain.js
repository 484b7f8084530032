// Why is this time taken? Everything that touches a span, in a dialog.

function openDialog(title, ...content) {
  element("dialog-title").textContent = title;
  element("dialog-body").replaceChildren(...content.flat().filter(Boolean));
  if (!element("dialog").open) element("dialog").showModal();
}

const closeDialog = () => element("dialog").close();

// A question, and what is done when it is answered with yes.
function askFirst(question, verb, action) {
  openDialog(question, act(verb, action));
}

// A button that does something, and says what came of it where that is a refusal.
function act(verb, action, done = closeDialog) {
  const button = make("button", { type: "button", className: "main" }, verb);
  button.onclick = async () => {
    button.disabled = true;
    button.parentNode.querySelector(".trouble")?.remove();
    try {
      done(await action());
    } catch (error) {
      button.after(make("p", { className: "trouble", role: "alert" }, prose(reasonOf(error))));
    }
    button.disabled = false;
  };
  return button;
}

element("close").onclick = closeDialog;

// `further` makes the buttons of an event that busyd itself keeps.
async function explain({ name, timezone }, busy, further = () => []) {
  const title = `${wordFor(busy.type)}: ${span(Date.parse(busy.start), Date.parse(busy.end), timezone)}`;
  if (!may("details")) {
    openDialog(title, make("p", {}, "What is there needs a token with the scope ", make("code", {}, "details"), ": ",
      make("a", { href: "/login" }, "log in"), "."));
    return;
  }
  openDialog(title, make("p", { className: "quiet" }, "Asking …"));
  try {
    const { events, elsewhere } = await ask(pathOf(name, `explain?start=${busy.start}&end=${busy.end}`));
    const list = (chosen) => make("ul", { className: "events" }, events.filter(chosen).map((event) => describe(event, timezone, further)));
    openDialog(title, list((event) => event.blocks));
    if (events.some((event) => !event.blocks)) {
      element("dialog-body").append(make("h3", {}, "Also there, but does not count"), list((event) => !event.blocks));
    }
    element("dialog-body").append(...elsewhere.map(({ explanation }) => make("p", { className: "quiet" }, `${explanation[0].toUpperCase()}${explanation.slice(1)}.`)));
  } catch (error) {
    openDialog(title, make("p", { className: "trouble" }, prose(reasonOf(error))));
  }
}

function describe(event, zone, further) {
  return make("li", {},
    make("strong", {}, event.summary || "Untitled"), event.location && ` · ${event.location}`,
    make("p", {}, span(Date.parse(event.start), Date.parse(event.end), zone)),
    make("p", { className: "quiet" }, `${event.calendar}: `, prose(event.explanation)),
    event.notes.map((note) => make("p", { className: "quiet" }, note)),
    further(event));
}
