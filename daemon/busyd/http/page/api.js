// Asks busyd. Text that comes from it is only ever set as text, never as HTML.

const TIMEOUT = 2000;
const scopes = new Set(document.body.dataset.scopes.split(" "));

export const may = (scope) => scopes.has(scope);

// Raised for an answer that is a refusal. What is raised when there is no answer is of another class.
export class Refused extends Error {
  constructor(status, problem) {
    super(problem.fix ? `${sentence(problem.detail)} ${sentence(problem.fix)}` : sentence(problem.detail));
    this.status = status;
  }
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

// The value of an answer. Without an answer in time it raises something else than Refused.
export async function ask(path, { method = "GET", body, timeout = TIMEOUT } = {}) {
  const answer = await fetch(path, {
    method,
    headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
    cache: "no-store",
    signal: AbortSignal.timeout(timeout),
  });
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(answer.status, value);
  return value;
}

export const pathOf = (profile, rest) => `/v1/profiles/${encodeURIComponent(profile)}/${rest}`;

export const element = (id) => document.getElementById(id);

// An element with properties and children; what is false or null is left out.
export function make(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}
