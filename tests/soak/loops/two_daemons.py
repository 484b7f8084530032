"""Two daemons that know nothing of each other, and a phone, book the same slots of one calendar: no slot is had twice.

With `--lag` the server shows what was written only seconds later. Then slots are had twice; all of them must be told.
`contested-slots` does the same in virtual time, for many more slots.
"""

import argparse
import json
import logging
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from busyd.period import to_rfc3339
from tests.icloud.apple_text import calendar, event, utc
from tests.icloud.calendars import Calendar
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import DAY, Answer, Scheduler, ten_o_clock
from tests.soak.callers import LENGTH, instant_of, read_event

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
TRIES: Final = 8
_PHONE: Final = 0.05
"""Of all slots, those that a person takes as well."""
_AT_A_TIME: Final = 20
"""Slots."""
_ONE_CALENDAR: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work}}
"""
"""Beside another calendar what has gone from this one keeps its time for half a minute, as it may only be moving."""
_SETTLES_WITHIN: Final = 600.0
"""Seconds: on a busy machine calendars are not confirmed in time, and the tries are rarer and rarer."""
_TOLD_WITHIN: Final = 40.0
"""Seconds after the last booking: a look again, a poll, and what a busy machine adds."""


@dataclass
class Contest:
    """What came of all slots."""

    slots: int
    used: int = 0
    doubled: int = 0
    """Slots that both daemons have."""
    with_phone: int = 0
    """Slots that a daemon and the phone have."""
    untold: list[str] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)

    def is_well(self, lag: float) -> bool:
        """Whether it is as promised."""
        return not self.untold and self.used >= 0.99 * self.slots and (lag > 0 or not self.doubled)

    def lines(self, lag: float) -> list[str]:
        return [
            f"slots: {self.slots}, lag {lag:g} s, used: {self.used} ({self.used / self.slots:.2%})",
            f"answers: {', '.join(f'{name} {number}' for name, number in sorted(self.answers.items()))}",
            f"had by both daemons: {self.doubled} ({self.doubled / self.slots:.2%}); by a daemon and the phone: "
            f"{self.with_phone}",
            f"untold: {len(self.untold)}",
            *self.untold,
        ]


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak two-daemons", description=__doc__)
    parser.add_argument("--slots", type=int, default=100, help="how many both want (default: 100)")
    parser.add_argument("--lag", type=float, default=0.0, metavar="SECONDS", help="of what is read (default: none)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        contest = contend(Path(folder), wanted.slots, lag=wanted.lag, seed=wanted.seed)
    print(*contest.lines(wanted.lag), f"seconds: {time.monotonic() - began:.0f}", sep="\n", flush=True)
    return 0 if contest.is_well(wanted.lag) else 1


def contend(folder: Path, slots: int, *, lag: float, seed: int) -> Contest:
    """Have every slot asked for by all of them at once."""
    chance = Random(seed)
    contest = Contest(slots)
    first = ten_o_clock() // DAY * DAY
    with SimulatedIcloud.in_thread() as icloud, ExitStack() as daemons:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        account.add_calendar("Work", id="work")
        account.knobs.lag_seconds = lag
        work = account.calendars["work"]
        bookers = [_booker(daemons, folder / name, icloud.bootstrap_url) for name in ("one", "two")]
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            starts = [first + number * LENGTH for number in range(slots)]
            seeds = [chance.random() for _ in starts]
            contend_for = partial(_contend_for, bookers, work, contest)
            paths = list(pool.map(contend_for, starts, map(Random, seeds)))
        time.sleep(lag)
        until = time.monotonic() + _TOLD_WITHIN
        while True:
            _judge(contest, bookers, work, [path for found in paths for path in found])
            if not contest.untold or time.monotonic() > until:
                return contest
            time.sleep(2)


def _booker(daemons: ExitStack, folder: Path, url: str) -> Scheduler:
    folder.mkdir()
    busyd: Busyd = daemons.enter_context(busyd_in(folder, environment={"APPLE": PASSWORD}))
    busyd.configure(_ONE_CALENDAR.format(url=url))
    busyd.module = ("tests.soak.killable", "--unpaced")  # or there is one request a second
    busyd.start()
    wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"])
    made = json.loads(busyd.command("token", "add", "anna", "--scope", "book", "--json").stdout)
    return Scheduler(busyd, made["token"])


def _contend_for(
    bookers: Sequence[Scheduler], work: Calendar, contest: Contest, start: int, chance: Random
) -> list[tuple[int, str]]:
    """Both daemons are asked at once, a person may come between; which daemon, and the path of what was accepted."""
    paths: list[tuple[int, str]] = []

    def book(number: int, dice: Random) -> None:
        turn = 0
        while turn < TRIES:
            answer = bookers[number].book(start, key=f"{start}-{turn}")
            contest.answers[str(answer.status)] += 1
            if answer.status in (201, 202):
                paths.append((number, answer.headers["Location"]))
                if _settled(bookers[number], answer)["state"] in ("booked", "attention"):
                    return
            if answer.status == 503:  # nothing was done, so that the same is asked again
                time.sleep(0.5)
                continue
            # Whoever has given way to the other tries again at another moment than that one.
            turn += 1
            time.sleep(dice.uniform(0.1, 2.0**turn))
            if _is_taken(work, start):
                return

    def take_by_hand(wait: float) -> None:
        time.sleep(wait)
        with work.lock:
            if not _is_taken(work, start):
                when = utc(*(datetime.fromtimestamp(at, UTC) for at in (start, start + LENGTH)))
                work.put(f"phone-{start}.ics", calendar(event(f"PHONE-{start}", "By hand", when)))

    threads = [threading.Thread(target=book, args=(number, Random(chance.random()))) for number in range(2)]
    if chance.random() < _PHONE:
        threads.append(threading.Thread(target=take_by_hand, args=(chance.uniform(0, 0.3),)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return paths


def _settled(booker: Scheduler, answer: Answer) -> Any:
    if answer.status == 201:
        return answer.json
    path = answer.headers["Location"]

    def look() -> Any:
        told = booker.ask("GET", path).json
        return told if told["state"] not in ("pending", "cancelling") else None

    until = time.monotonic() + _SETTLES_WITHIN
    while (told := look()) is None and time.monotonic() < until:
        time.sleep(0.2)
    return told or booker.ask("GET", path).json


def _is_taken(work: Calendar, start: int) -> bool:
    """Whether somebody has a slot, as a person sees it who looks a moment later."""
    spans = (read_event(stored.text)[1] for stored in work.objects().values())
    return any(span.start < start + LENGTH and start < span.end for span in spans)


def _judge(contest: Contest, bookers: Sequence[Scheduler], work: Calendar, paths: Sequence[tuple[int, str]]) -> None:
    """Who has which slot now, and what is told of it."""
    contest.untold = []
    had: dict[int, list[str]] = {}
    for stored in work.objects().values():
        had.setdefault(read_event(stored.text)[1].start, []).append(stored.uid)
    told: dict[str, Any] = {}
    for number, path in paths:
        one = bookers[number].ask("GET", path).json
        told[one["uid"]] = one
        is_there = one["uid"] in had.get(instant_of(one["start"]), ())
        if is_there is not (one["state"] in ("booked", "attention")):
            contest.untold.append(f"told {one['state']}, is {'there' if is_there else 'not there'}: {one}")
    contest.used = len(had)
    contest.doubled = contest.with_phone = 0
    for start, uids in had.items():
        ours = [uid for uid in uids if uid in told]
        contest.doubled += len(ours) > 1
        contest.with_phone += len(uids) > len(ours) > 0
        if len(uids) > 1 and any(told[uid]["reason"] != "conflict" for uid in ours):
            contest.untold.append(f"{to_rfc3339(start)} is had by {uids}: {[told[uid]['state'] for uid in ours]}")
