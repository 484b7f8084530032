// The page for people: keeps its parts going.

import { element } from "./api.js";
import { explain } from "./explain.js";
import { isAlive, shownProfile, watch } from "./trust.js";
import * as week from "./week.js";

const EVERY = 10_000;

let due = 0;

async function refresh() {
  const profile = shownProfile();
  element("plain").hidden = true;
  element("trust").hidden = false;
  element("week").hidden = !profile;
  due = 0; // whatever is not answered now is asked for with the next sign of life
  if (!profile || !isAlive()) return;
  await week.refresh(profile);
  due = performance.now() + EVERY;
}

function changed() {
  if (performance.now() < due) return;
  refresh().catch(() => {}); // what is wrong is told by the answers about trust
}

function start() {
  week.begin((busy) => explain(shownProfile(), busy));
  for (const [id, days] of [["before", -7], ["today", 0], ["after", 7]]) {
    element(id).onclick = () => {
      week.move(days, shownProfile());
      due = 0;
      changed();
    };
  }
  watch(changed);
}

if (element("trust")) start();
