"""Kill the daemon while it books, moves and cancels at a failing server: none is lost, doubled or left.

It dies at every named point of `tests/soak/killable.py`, and at random instants; in the end all that was told must be
so. `--mutants` breaks it in five ways, and expects that each is found.
"""

import argparse
import json
import logging
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from busyd.store.ledger import LEDGER_FILE
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.journey.scheduler import DAY, SCHEDULED, Scheduler, ten_o_clock
from tests.soak.callers import Caller, Phone, Verdict, WriteFaults, judge
from tests.soak.killable import MUTANTS, POINTS

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
SETTLES_WITHIN: Final = 45.0
"""Seconds after the last fault."""
_LIVES_AT_MOST: Final = 4.0
"""Seconds after which it is killed all the same when it does not come to a point."""
_CALLERS: Final = 6
_NAMED: Final = 0.8
"""Of all kills, those that are to be at a named point."""


@dataclass
class Outcome:
    """What came of a loop."""

    verdict: Verdict
    kills: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    phone: Counter[str] = field(default_factory=Counter)

    def lines(self) -> list[str]:
        named = {point: number for point, number in self.kills.items() if ":" in point}
        found = [f"{name}: {line}" for name, lines in self.verdict.wrong.items() for line in lines]
        return [
            f"kills: {self.kills.total()}, of them {sum(named.values())} at {len(named)} of {len(POINTS)} named points",
            f"at points: {_counts(named)}",
            f"at each point at least: {min(self.kills[point] for point in POINTS)}",
            f"answers: {_counts(self.told)}",
            f"faults: {_counts(self.faults)}; a phone: {_counts(self.phone)}",
            self.verdict.counts(),
            *found,
        ]


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak kills", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="kills (default: 1,000)")
    parser.add_argument("--each", type=int, default=0, help="go on until it died so often at each named point, too")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    parser.add_argument("--minutes", type=float, default=600, help="end the kills after so long (default: 600)")
    parser.add_argument("--mutants", action="store_true", help="the same with each mutant, which must be found")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="the same with one of them")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    missed = []
    for mutant in [wanted.mutant] if wanted.mutant else [*MUTANTS] if wanted.mutants else [""]:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            outcome = kill(
                Path(folder),
                wanted.count,
                each=wanted.each,
                seed=wanted.seed,
                mutant=mutant,
                until=began + wanted.minutes * 60,
            )
        print(*([f"mutant: {mutant}"] if mutant else []), *outcome.lines(), sep="\n", flush=True)
        print(f"seconds: {time.monotonic() - began:.0f}\n", flush=True)
        # What only does not settle in time may be slow, and is no proof that a mutant was found.
        is_wrong = any(lines for kind, lines in outcome.verdict.wrong.items() if not mutant or kind != "unsettled")
        if is_wrong is not bool(mutant):
            missed.append(mutant or "as it is")
    print(f"not as it should be: {', '.join(missed)}" if missed else "all as it should be")
    return 1 if missed else 0


def kill(
    folder: Path,
    kills: int,
    *,
    seed: int,
    each: int = 0,
    mutant: str = "",
    until: float = float("inf"),
    share: float = 0.25,
) -> Outcome:
    """Kill the daemon so often, `each` times at every named point, or until the monotonic clock says so; then judge."""
    chance = Random(seed)
    with SimulatedIcloud.in_thread() as icloud, busyd_in(folder, environment={"APPLE": PASSWORD}) as busyd:
        account = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        for name in ("Work", "Home"):
            account.add_calendar(name, id=name.casefold())
        # A server that remembers no deletion: only busyd keeps what is late from coming back.
        account.knobs.tombstone_seconds = 0
        busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
        broken = ("tests.soak.killable", *(("--mutant", mutant) if mutant else ()))
        busyd.module = broken
        busyd.start()
        made = json.loads(busyd.command("token", "add", "anna", "--scope", "book", "--json").stdout)
        scheduler = Scheduler(busyd, made["token"])
        wait_for(lambda: not busyd.freebusy("now", "+1d")["stale"])
        busyd.stop()
        over = threading.Event()
        callers = [
            Caller(scheduler, Random(chance.random()), f"c{number}", ten_o_clock() // DAY * DAY, 96, over)
            for number in range(_CALLERS)
        ]
        phone = Phone(account.calendars["work"], callers, Random(chance.random()), over)
        faults = account.knobs.faults = WriteFaults(Random(chance.random()), share=share)
        threads = [threading.Thread(target=caller.act_until_over, daemon=True) for caller in callers]
        person = threading.Thread(target=phone.touch_until_over, daemon=True)
        for thread in (*threads, person):
            thread.start()
        killed: Counter[str] = Counter()
        missing = POINTS if each else ()
        while (killed.total() < kills or missing) and time.monotonic() < until:
            point = chance.choice(missing or POINTS)
            killed[_live_and_die(busyd, broken, point=point, chance=chance)] += 1
            missing = tuple(point for point in POINTS if killed[point] < each)
        faults.share = 0.0
        busyd.module = broken
        busyd.start()
        over.set()
        for thread in (*threads, person):
            thread.join(timeout=15.0 if mutant else SETTLES_WITHIN)
        verdict = _settled(
            lambda: judge(callers, account, tell=_teller(scheduler), sent_again=faults.sent_again),
            within=15.0 if mutant else SETTLES_WITHIN,
        )
        if any(thread.is_alive() for thread in threads):
            verdict.wrong["unsettled"].append("a caller still waits for its answer")
        verdict.wrong["ghosts"] = [
            f"{ghost}: {_row(busyd, ghost.partition(':')[0])}" for ghost in verdict.wrong["ghosts"]
        ]
        if (integrity := _integrity(busyd)) != "ok":
            verdict.wrong["lost"].append(f"the ledger is damaged: {integrity}")
        outcome = Outcome(verdict, killed, faults=faults.played, phone=phone.done)
        for caller in callers:
            outcome.told += caller.told
        return outcome


def _live_and_die(busyd: Busyd, broken: tuple[str, ...], *, point: str, chance: Random) -> str:
    """Start it, and have it die at a point or at random; where it died."""
    is_named = chance.random() < _NAMED
    busyd.module = (*broken, "--die-at", f"{point}:{chance.randint(1, 3)}") if is_named else broken
    busyd.start(wait=False)
    process = busyd.process
    if process is None:
        raise AssertionError("it was not started")
    began = time.monotonic()
    while process.poll() is None and time.monotonic() < began + 60 and not busyd.status_of("/healthz"):
        time.sleep(0.02)
    lives = _LIVES_AT_MOST if is_named else chance.uniform(0.1, 2.5)
    until = time.monotonic() + lives
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    if process.poll() is not None:
        busyd.process = None
        return point
    process.kill()
    process.wait()
    busyd.process = None
    return "random"


def _settled(look: Callable[[], Verdict], *, within: float) -> Verdict:
    """What is found once nothing is wrong any more, or does not settle."""
    time.sleep(3)  # for requests that are late
    until = time.monotonic() + within
    while True:
        verdict = look()
        if not verdict or time.monotonic() > until:
            return verdict
        time.sleep(1)


def _teller(scheduler: Scheduler) -> Callable[[str], Any]:
    def tell(path: str) -> Any:
        answer = scheduler.ask("GET", path)
        return answer.json if answer.status == 200 else None

    return tell


def _integrity(busyd: Busyd) -> str:
    with closing(sqlite3.connect(busyd.state / LEDGER_FILE)) as ledger:
        found: str = ledger.execute("PRAGMA integrity_check").fetchone()[0]
    return found


def _row(busyd: Busyd, uid: str) -> str:
    """What the ledger has of a name."""
    with closing(sqlite3.connect(busyd.state / LEDGER_FILE)) as ledger:
        return str(ledger.execute("SELECT record FROM booking WHERE uid=?", (uid,)).fetchone())


def _counts(counter: Any) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))
