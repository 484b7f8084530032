// The page for people: keeps its parts going.

const REFRESH_EVERY = 10_000;
const isLoggedIn = Boolean(document.querySelector("#session form"));

let due = 0;
let shownState = "";
let isRefreshing = false;
let requests = 0;

async function refresh() {
  const profile = shownProfile();
  element("plain").hidden = true;
  element("trust").hidden = false;
  for (const part of document.querySelectorAll("[data-part]")) part.hidden = !profile;
  drawPeople(profile);
  due = 0; // whatever is not answered now is asked for with the next sign of life
  if (!profile || !isAlive()) return;
  const answer = await refreshWeek(profile);
  due = performance.now() + REFRESH_EVERY;
  await Promise.all([
    refreshSlots(profile),
    refreshCalendars(profile, answer),
    refreshAccess(profile),
    isLoggedIn ? refreshChanges(profile) : fill("changes", 0, () => make("p", { className: "quiet" }, "Log in to see them.")),
  ]);
}

function drawPeople(profile) {
  const names = profileNames();
  fill("people", [names, profile?.name], () => names.length > 1 && make("select", { ariaLabel: "Profile", onchange: ({ target }) => { show(target.value); now(); } },
    names.map((name) => make("option", { selected: name === profile.name }, name))));
}

// Refreshes what is due, one refresh after the other.
async function changed() {
  const state = `${isAlive()} ${shownProfile()?.state}`, request = requests;
  if (isRefreshing || (performance.now() < due && state === shownState)) return;
  [isRefreshing, shownState] = [true, state];
  await refresh().catch(() => {}); // what is wrong is told by the answers about trust
  isRefreshing = false;
  if (request !== requests) now();
}

// Nothing is called free for longer than its proof lasts, whatever else is under way.
function tick() {
  element("now").textContent = isProven() ? sayNow() : "";
  if (!isAlive()) forgetSlots("Nothing is offered while busyd does not answer.");
}

function now() {
  requests += isRefreshing;
  due = 0;
  changed();
}

function start() {
  beginWeek((busy) => explain(shownProfile(), busy));
  beginSlots(shownProfile, now);
  beginAccess(shownProfile);
  for (const [id, days] of [["before", -7], ["today", 0], ["after", 7]]) {
    element(id).onclick = () => {
      moveWeek(days, shownProfile());
      now();
    };
  }
  element("length").onchange = now;
  element("sync").hidden = !may("admin");
  element("sync").onclick = async ({ target }) => {
    target.disabled = true;
    await ask("/v1/sync", { method: "POST", timeout: 600_000 }).catch(() => {});
    target.disabled = false;
    now();
  };
  setInterval(tick, 500);
  if (isLoggedIn) followChanges(now);
  watch(changed);
}

if (element("trust")) start();
