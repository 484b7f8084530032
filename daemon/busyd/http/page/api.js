// Asks busyd. Text that comes from it is only ever set as text, never as HTML.

const TIMEOUT = 10_000;
const scopes = new Set(document.body.dataset.scopes.split(" "));

const may = (scope) => scopes.has(scope);

// Raised for an answer that is a refusal. What is raised when there is no answer is of another class.
class Refused extends Error {
  constructor(status, problem) {
    super(problem.fix ? `${sentence(problem.detail)} ${sentence(problem.fix)}` : sentence(problem.detail));
    this.status = status;
  }
}

const reasonOf = (error) => (error instanceof Refused ? error.message : "There was no answer. What is known shows on the page once busyd answers again.");

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// The value of an answer. Without an answer in time it raises something else than Refused.
async function ask(path, { method = "GET", body, key, timeout = TIMEOUT } = {}) {
  const answer = await fetch(path, {
    method,
    headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }), ...(key && { "Idempotency-Key": key }) },
    body: body && JSON.stringify(body),
    cache: "no-store",
    signal: AbortSignal.timeout(timeout),
  });
  const lines = (await answer.text()).trim().split("\n"); // work that takes long tells of itself line by line
  const value = lines.at(-1) ? JSON.parse(lines.at(-1)) : null;
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

const pathOf = (profile, rest) => `/v1/profiles/${encodeURIComponent(profile)}/${rest}`;

const element = (id) => document.getElementById(id);

// An element with properties and children; what is false or null is left out.
function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

// Text with `commands` in it.
const prose = (text) => text.split("`").map((part, number) => (number % 2 ? make("code", {}, part) : part));

const table = (headings, rows) => make("table", {},
  make("thead", {}, make("tr", {}, headings.map((heading) => make(heading ? "th" : "td", heading ? { scope: "col" } : {}, heading)))),
  make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell) => make("td", {}, cell))))));

const filled = new WeakMap();

// Fills an element anew where `value` is another than last time, so that focus stays where nothing changes.
function fill(id, value, children) {
  const node = element(id), key = JSON.stringify(value);
  if (filled.get(node) === key) return;
  filled.set(node, key);
  node.replaceChildren(...[children(value)].flat().filter(Boolean));
}
