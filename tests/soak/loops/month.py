"""Thirty days with random faults in virtual time: memory, descriptors, what is logged; then restarts in real time."""

import argparse
import json
import re
import signal
import sqlite3
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import linear_regression, median
from typing import Final

from busyd.store.change_log import CHANGES_FILE
from tests.bench.figures import Figure, count, missing
from tests.bench.processes import environment_of_the_unit
from tests.icloud.running import RunningIcloud, icloud_process
from tests.journey.daemon import Busyd, busyd_in, wait_for
from tests.soak.bad_month import CALENDARS, FEED, USER
from tests.soak.watching import tell

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
LEAST_DAYS: Final = 5
"""Fewer tell nothing of a slope: the first day fills what is kept for a day."""
MOST_LINES: Final = 50
_LINE: Final = re.compile(r"(?P<at>(?P<day>\d{4}-\d\d-\d\d)T\S+) (?P<level>[A-Z]+) +(?P<logger>[\w.]+): (?P<text>.*)")
_TROUBLE: Final = re.compile(r"(?P<connection>\w+): .*\[(?P<code>[a-z.-]+)\]$")
_OUR_FAULT: Final = ("failed with an internal error", "because of an internal error", "unexpectedly")
_OVER: Final = re.compile(r"(?P<connection>\w+): reachable again$")


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak month", description=__doc__)
    parser.add_argument("--days", type=float, default=30, help="how long the month is (default: 30)")
    parser.add_argument("--seed", type=int, default=1, help="what happens (default: 1)")
    parser.add_argument("--restarts", type=int, default=10, help="how often busyd is ended afterwards (default: 10)")
    parser.add_argument("--log", type=Path, help="keep the log of the month there")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        month = live_through(Path(folder), days=wanted.days, seed=wanted.seed, restarts=wanted.restarts)
        print(f"seconds: {time.monotonic() - began:.0f}; seed: {wanted.seed}; happened: {dict(month.happened)}")
        if wanted.log is not None:
            wanted.log.write_text(month.log)
    for line in month.wrong:
        print(line)
    return tell(month.figures()) or bool(month.wrong)


@dataclass
class Month:
    """What was found."""

    samples: list[dict[str, float]]
    happened: Counter[str]
    wrong: list[str]
    log: str
    gaps: list[float]
    """Seconds in which nobody answered, of each restart."""

    def figures(self) -> list[Figure]:
        """Held against the bounds."""
        early, late = self._descriptors()
        found = [
            count(17, "lines in the log on the worst day", value=max(self.lines().values()), at_most=MOST_LINES),
            count(17, "descriptors: last day, more than the first", value=late - early, at_most=3),
            self._slope(),
        ]
        if self.gaps:
            found.append(count(17, "longest gap of a restart", value=max(self.gaps), at_most=1, unit=" s"))
        return found

    def lines(self) -> Counter[str]:
        """How many lines the log has of each day; those of a traceback count, too."""
        found: Counter[str] = Counter()
        day = ""
        for line in self.log.splitlines():
            match = _LINE.match(line)
            day = match["day"] if match else day
            found[day] += 1
        return found

    def changes_of_connections(self) -> list[tuple[str, str, str]]:
        """When which connection failed or was well again, as the log has it."""
        found: list[tuple[str, str, str]] = []
        ill: set[str] = set()
        for match in filter(None, map(_LINE.match, self.log.splitlines())):
            if (told := _TROUBLE.match(match["text"])) and told["connection"] not in ill:
                ill.add(told["connection"])
                found.append((match["at"], told["connection"], "failed"))
            elif over := _OVER.match(match["text"]):
                ill.discard(over["connection"])
                found.append((match["at"], over["connection"], "ok"))
        return found

    def faults_of_the_log(self) -> list[str]:
        """Lines that say the same again, and tracebacks."""
        faults, trouble = [], dict[str, str]()
        for line in self.log.splitlines():
            match = _LINE.match(line)
            if match is None or any(words in line for words in _OUR_FAULT):
                faults.append(line)
            elif told := _TROUBLE.match(match["text"]):
                if trouble.get(told["connection"]) == match["text"]:
                    faults.append(f"said twice: {line}")
                trouble[told["connection"]] = match["text"]
            elif (over := _OVER.match(match["text"])) and trouble.pop(over["connection"], "") == "":
                faults.append(f"well without having been ill: {line}")
        return faults

    def _descriptors(self) -> tuple[float, float]:
        end = self.samples[-1]["day"]
        early = max(one["descriptors"] for one in self.samples if one["day"] <= 1)
        return early, max(one["descriptors"] for one in self.samples if one["day"] >= end - 1)

    def _slope(self) -> Figure:
        days = defaultdict(list)
        for one in self.samples:
            days[int(one["day"])].append(one["memory"])
        what = "memory: slope after the first day"
        if len(days) < LEAST_DAYS:
            return missing(17, what, why=f"{len(days)} days are too short")
        numbers = sorted(days)[1:]
        slope = linear_regression(numbers, [median(days[number]) for number in numbers]).slope
        return count(17, what, value=round(slope, 3), at_most=1, unit=" MB a day")


def live_through(folder: Path, *, days: float, seed: int, restarts: int = 0, poll: str = "60s") -> Month:
    """One daemon and one simulated iCloud for so many days, which end a while ago: the machine's clock goes on.

    The machine sleeps for a part of them.
    """
    start = datetime.now(UTC) - timedelta(days=1.1 * days + 1)
    report = folder / "report"
    with icloud_process("--realistic", "--today", f"{start:%Y-%m-%d}") as icloud, busyd_in(folder) as busyd:
        busyd.environment = {"ANNA_PASSWORD": PASSWORD, **environment_of_the_unit()}
        busyd.configure(configuration(icloud, poll))
        busyd.module = (
            "tests.soak.bad_month", "--control", icloud.control_url, "--base", busyd.base,
            "--simulator", str(icloud.pid), "--start", str(start.timestamp()), "--days", str(days),
            "--seed", str(seed), "--report", str(report),
        )  # fmt: skip
        busyd.start(wait=False)
        assert busyd.process is not None
        status = busyd.process.wait()
        lines = [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []
        log = busyd.log.read_text()
        assert status == 0 and lines and "wrong" in lines[-1], f"ended with {status}:\n{log[-3000:]}"
        month = Month(lines[:-1], Counter(lines[-1]["happened"]), lines[-1]["wrong"], log, [])
        month.wrong += month.faults_of_the_log()
        if (told := _kept_changes(busyd.state / CHANGES_FILE)) != month.changes_of_connections()[-len(told) :]:
            month.wrong.append("the log of changes tells of connections otherwise than the log")
        busyd.module = ("busyd",)
        month.gaps = list(_gaps(busyd, restarts))
    return month


def _kept_changes(file: Path) -> list[tuple[str, str, str]]:
    """The same as the log of changes has it, which forgets what is a month old."""
    with closing(sqlite3.connect(file)) as database:
        rows = database.execute("SELECT body FROM entry WHERE event = 'connection' ORDER BY number").fetchall()
    return [(body["at"], body["connection"], body["state"]) for body in (json.loads(row[0]) for row in rows)]


def configuration(icloud: RunningIcloud, poll: str) -> str:
    """One person with two kinds of connection, as most have it."""
    feed = icloud.feeds_url.rstrip("/") + FEED
    return f"""\
connections:
  anna:
    url: {icloud.bootstrap_url}
    username: {USER}
    password: {{env: ANNA_PASSWORD}}
    poll: {poll}
  holidays: {{kind: ics, url: "{feed}", poll: 6h}}
profiles:
  anna:
    timezone: Europe/Berlin
    primary: anna/{CALENDARS[0]}
    conflicts: ["anna/*", holidays]
    hours: {{mon-fri: ["09:00-17:00"]}}
    slots: {{notice: 1h, window: 60d}}
"""


def _gaps(busyd: Busyd, restarts: int) -> Iterator[float]:
    """End it again and again, every other time by SIGKILL, start it at once, and ask meanwhile."""
    if restarts:
        busyd.start()
    for number in range(restarts):
        last = wait_for(lambda: _answered(busyd), describe=busyd.log.read_text)
        busyd.stop(how=signal.SIGKILL if number % 2 else signal.SIGTERM)
        busyd.start(wait=False)
        while (now := _answered(busyd)) is None:
            time.sleep(0.005)
        yield now - last


def _answered(busyd: Busyd) -> float | None:
    """When it has said whether the person is busy; None when it has not."""
    try:
        with urllib.request.urlopen(f"{busyd.base}/v1/profiles/anna/freebusy", timeout=60) as answer:
            return time.monotonic() if json.load(answer)["complete"] else None
    except OSError:
        return None
