// Can these answers be trusted now? Asks every two seconds, and no answer is an answer.

const POLL_EVERY = 2000;
const SILENT_AFTER = 4500;
const STATES = {
  fresh: ["Up to date", ""],
  stale: ["Out of date", "Something may have been added since. What shows no entry below is not surely free."],
  incomplete: ["Not everything is known", "What is not known is shown as taken."],
  loading: ["Reading the calendars for the first time", "Until that is done, nothing is known to be free."],
  unconfigured: ["No calendar counts yet", "Link calendars to this profile in the configuration, or run “busyd setup”."],
};

let profiles = [];
let shown = decodeURIComponent(location.hash.slice(1));
let served = 0;
let answered = -Infinity;
let answeredOnWallClock = 0;
let failure = null;
let asking = false;

// The time of the server now. A machine that slept has both of its clocks looked at: one of them may have stood still.
const serverNow = () => served + Math.max(performance.now() - answered, Date.now() - answeredOnWallClock);

const isAlive = () => !failure && served > 0 && serverNow() - served < SILENT_AFTER;

const shownProfile = () => profiles.find(({ name }) => name === shown) ?? profiles[0];

const profileNames = () => profiles.map(({ name }) => name);

// Whether what is shown may be called free where it shows nothing.
const isProven = () => isAlive() && shownProfile()?.state === "fresh";

function show(name) {
  shown = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  draw();
}

// Tells `changed` after each answer, and when answers end.
async function watch(changed) {
  const look = async () => {
    if (asking) return;
    asking = true;
    const began = performance.now(), beganOnWallClock = Date.now();
    try {
      const answer = await ask("/v1/profiles", { timeout: POLL_EVERY });
      [profiles, served, answered, answeredOnWallClock, failure] = [answer.profiles, Date.parse(answer.now), began, beganOnWallClock, null];
    } catch (error) {
      failure = error;
    }
    asking = false;
    draw();
    changed();
  };
  setInterval(look, POLL_EVERY);
  setInterval(draw, 500);
  document.addEventListener("visibilitychange", look);
  await look();
}

function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function draw() {
  const profile = shownProfile(), alive = isAlive();
  const zone = profile?.timezone ?? "UTC";
  let state = "dead", title = "busyd does not answer", meaning = "", age = "";
  if (alive && !profile) [state, title, meaning] = ["unconfigured", "No profile is configured", "Run “busyd setup” to make one."];
  else if (alive) {
    state = profile.state;
    [title, meaning] = STATES[state] ?? [state, ""];
    if (profile.as_of) age = `confirmed ${ago(serverNow() - Date.parse(profile.as_of))}`;
    else age = "never confirmed";
  } else if (failure instanceof Refused) {
    [title, meaning] = failure.status === 401 ? ["You are no longer logged in", "Load the page again to log in."] : ["busyd refuses to answer", failure.message];
  } else if (served) {
    meaning = `All that is shown was true at ${clockWithSeconds(served, zone)}, and may be wrong by now: take no time for free until busyd answers again.`;
    age = `since ${ago(serverNow() - served)}`.replace(" ago", "");
  } else meaning = "Nothing is known. Is the daemon running? “busyd status” tells.";
  element("trust").dataset.state = state;
  document.body.classList.toggle("unproven", !isProven());
  document.body.classList.toggle("dead", !alive);
  set(element("state"), title);
  set(element("age"), age);
  set(element("meaning"), meaning);
  document.title = state === "fresh" ? "busyd" : `${title} – busyd`;
}
