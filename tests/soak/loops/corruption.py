"""Corrupt the mirror of a stopped or killed daemon at random: the next start reads it anew, and no answer is wrong."""

import argparse
import contextlib
import logging
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field

from busyd.store.mirror import MIRROR_FILE
from tests.icloud.apple_text import calendar, event, utc
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import TIMEOUT, Busyd, busyd_in
from tests.store.corruptions import corrupt

PASSWORD: Final = "abcd-efgh-ijkl-mnop"
CONFIG: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, conflicts: ["anna/*"]}}
"""
EVENTS: Final = 80
ENDS: Final = ("stop", "kill", "kill, log written")
"""How the daemon ends. A kill leaves no seal, and a log that is not written yet hides what is damaged below it."""


class Asked(Struct):
    """Windows and their busy time as it is."""

    windows: list[tuple[str, str]]
    busy: list[Any] = field(default_factory=list)

    def answers(self, busyd: Busyd) -> list[Any]:
        """What is told of each at the moment; None while nobody answers."""
        return [_ask(busyd, window) for window in self.windows]


class Found(Struct):
    """What came of all corruptions."""

    kinds: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    set_aside: int = 0
    wrong: list[str] = field(default_factory=list)
    """Answers that call themselves complete and are not what they should be."""
    given_up: list[str] = field(default_factory=list)
    """Starts that ended, or did not come to the right answers."""


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak corruption", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="corruptions (default: 300)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    with tempfile.TemporaryDirectory() as folder, SimulatedIcloud.in_thread() as icloud:
        _fill(icloud)
        with busyd_in(Path(folder), environment={"APPLE": PASSWORD}) as busyd:
            busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
            found = _run(busyd, range(wanted.seed, wanted.seed + wanted.count))
    print(f"corruptions: {found.ends.total()}: {_counts(found.kinds)}; after: {_counts(found.ends)}")
    print(f"set aside and read anew: {found.set_aside}; the others changed nothing that is ever read")
    print(f"starts that did not come to the right answers: {len(found.given_up)}")
    print(f"wrong answers: {len(found.wrong)}")
    for line in (*found.given_up, *found.wrong):
        print(line)
    return 1 if found.wrong or found.given_up else 0


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _fill(icloud: SimulatedIcloud) -> None:
    account = icloud.add_account("anna@icloud.com", password=PASSWORD)
    tomorrow = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)
    for name in ("Work", "Home"):
        made = account.add_calendar(name, id=name.lower())
        for number in range(EVENTS):
            start = tomorrow + timedelta(days=number % 40, hours=number % 7)
            rule = ("RRULE:FREQ=WEEKLY;INTERVAL=2",) if number % 10 == 0 else ()
            text = event(f"{name}{number}", "Meeting" * 20, utc(start, start + timedelta(minutes=45)), *rule)
            made.put(f"{number}.ics", calendar(text))


def _run(busyd: Busyd, seeds: range) -> Found:
    now = datetime.now(UTC)
    days = [(now + timedelta(days=first)).strftime("%Y-%m-%d") for first in (0, 50, 700, 720)]
    asked, found = Asked([(days[0], days[1]), (days[2], days[3])]), Found()
    busyd.start()
    _wait(lambda: all(one is not None and one["complete"] for one in asked.answers(busyd)))
    asked.busy = [one["busy"] for one in asked.answers(busyd)]
    assert all(asked.busy), "there must be something to be wrong about"
    for seed in seeds:
        end = ENDS[seed % len(ENDS)]
        busyd.stop(how=signal.SIGTERM if end == "stop" else signal.SIGKILL)
        mirror, aside = busyd.state / MIRROR_FILE, busyd.state / f"{MIRROR_FILE}.damaged"
        if end == "kill, log written":
            _write_log(mirror)
        kind = corrupt(mirror, seed)
        found.ends[end] += 1
        found.kinds[kind] += 1
        busyd.start(wait=False)
        if not _watch(busyd, asked, found=found, name=f"seed {seed}, {kind}"):
            found.given_up.append(f"seed {seed}, {kind}: {busyd.log.read_text()[-1500:]}")
            return found
        found.set_aside += aside.exists()
        aside.unlink(missing_ok=True)
    busyd.stop()
    return found


def _write_log(mirror: Path) -> None:
    """Write the log into the file, as SQLite does from time to time."""
    with contextlib.closing(sqlite3.connect(mirror)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _watch(busyd: Busyd, asked: Asked, *, found: Found, name: str) -> bool:
    """Ask on and on until the answers are right and complete; note those that are complete and wrong."""

    def is_right() -> bool:
        told = asked.answers(busyd)
        for window, one, busy in zip(asked.windows, told, asked.busy, strict=True):
            if one is not None and one["complete"] and one["busy"] != busy:
                found.wrong.append(f"{name}: {window} {one}")
        assert busyd.process is not None
        if busyd.process.poll() is not None:
            raise EndedError
        return all(one is not None and one["complete"] and not one["stale"] for one in told)

    try:
        return _wait(is_right)
    except EndedError:
        return False


class EndedError(Exception):
    """The daemon has ended by itself."""


def _ask(busyd: Busyd, window: tuple[str, str]) -> Any:
    try:
        return busyd.freebusy(*window)
    except (OSError, AssertionError):
        return None


def _wait(is_reached: Any) -> bool:
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        if is_reached():
            return True
        time.sleep(0.02)
    return False
