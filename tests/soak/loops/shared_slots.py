"""Three daemons on one database are asked for the same slots at once, and killed: no slot is had twice, none is lost.

Whoever gets no answer, or is told that nothing was done, asks the next daemon with the same key. The server of the
database may be ended as by a crash meanwhile; no daemon may end of that.
"""

import argparse
import contextlib
import http.client
import json
import logging
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, Final

from busyd.period import to_rfc3339
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, wait_for
from tests.journey.scheduler import DAY, Answer, Scheduler, ten_o_clock
from tests.postgres import PostgresServer, running
from tests.soak.callers import LENGTH, read_event
from tests.soak.fleet import SharingDaemons

_PASSWORD: Final = "abcd-efgh-ijkl-mnop"
_PEOPLE: Final = ("anna", "ben")
"""Each has an account, so that two of the daemons write."""
_CONFIGURATION: Final = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}, poll: 5s}}
  ben: {{kind: icloud, url: "{url}", username: ben@icloud.com, password: {{env: APPLE}}, poll: 5s}}
profiles:
  anna: {{timezone: Europe/Berlin, primary: anna/Work}}
  ben: {{timezone: Europe/Berlin, primary: ben/Work}}
"""
_SETTLES_WITHIN: Final = 300.0
"""Seconds: an owner that was killed is taken over from after half a minute, and is perhaps killed again."""
_DOWN: Final = 5.0
"""Seconds for which a daemon is down, at most."""


@dataclass
class Contest:
    """What came of all slots."""

    slots: int
    kills: int = 0
    crashes: int = 0
    """Of the server of the database."""
    answers: Counter[str] = field(default_factory=Counter)
    booked: list[tuple[str, int, str]] = field(default_factory=list)
    """Profile, start and UID of what somebody was told to have."""
    used: int = 0
    doubled: list[str] = field(default_factory=list)
    """Slots with more than one event."""
    lost: list[str] = field(default_factory=list)
    """What somebody was told to have that is not there."""
    untold: list[str] = field(default_factory=list)
    """What is there that nobody was told to have."""
    untrue: list[str] = field(default_factory=list)
    """What a daemon says at the end that is not so."""

    @property
    def faults(self) -> list[str]:
        return [*self.doubled, *self.lost, *self.untold, *self.untrue]

    def is_well(self) -> bool:
        """Whether it is as promised."""
        return not self.faults and self.used >= 0.99 * self.slots

    def lines(self) -> list[str]:
        return [
            f"slots: {self.slots}, used: {self.used} ({self.used / self.slots:.2%}); daemons killed: {self.kills},"
            f" crashes of the database: {self.crashes}",
            f"answers: {', '.join(f'{name} {number}' for name, number in sorted(self.answers.items()))}",
            f"doubled: {len(self.doubled)}, lost: {len(self.lost)}, untold: {len(self.untold)},"
            f" untrue answers: {len(self.untrue)}",
            *self.faults[:20],
        ]


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak shared-slots", description=__doc__)
    parser.add_argument("--slots", type=int, default=2000, help="how many all want (default: 2,000)")
    parser.add_argument("--at-once", type=int, default=10, help="so many of them at a time (default: 10)")
    parser.add_argument("--kill-every", type=float, default=0, metavar="SECONDS", help="kill one so often (never)")
    parser.add_argument("--crash-every", type=float, default=0, metavar="SECONDS", help="and the database (never)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    wanted = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # the simulator tells of every answer that nobody waited for
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running() as postgres:
        contenders = Contenders(Path(folder), postgres, chance=Random(wanted.seed))
        contest = contenders.contend(
            wanted.slots, at_once=wanted.at_once, kill_every=wanted.kill_every, crash_every=wanted.crash_every
        )
    print(*contest.lines(), f"seconds: {time.monotonic() - began:.0f}", sep="\n", flush=True)
    return 0 if contest.is_well() else 1


class Contenders:
    """Three who want the same, each of them at another daemon first."""

    def __init__(self, folder: Path, postgres: PostgresServer, *, chance: Random) -> None:
        self._folder = folder
        self._postgres = postgres
        self._chance = chance
        self._callers: list[Scheduler] = []
        self._lock = threading.Lock()
        self._over = threading.Event()

    def contend(self, slots: int, *, at_once: int, kill_every: float = 0, crash_every: float = 0) -> Contest:
        """Have every slot asked for by all of them at once."""
        self._contest = contest = Contest(slots)
        with (
            SimulatedIcloud.in_thread() as icloud,
            SharingDaemons(self._folder, self._postgres, environment={"APPLE": _PASSWORD}) as daemons,
        ):
            for number, name in enumerate(_PEOPLE):
                account = icloud.add_account(f"{name}@icloud.com", password=_PASSWORD, dsid=f"30000000{number}")
                account.add_calendar("Work", id="work")
            self._begin(daemons, icloud.bootstrap_url)
            faults = [
                threading.Thread(target=self._kill, args=(daemons, kill_every)),
                threading.Thread(target=self._crash, args=(crash_every,)),
            ]
            for fault in faults:
                fault.start()
            first = ten_o_clock() // DAY * DAY
            wanted = [(_PEOPLE[number % 2], first + number // 2 * LENGTH) for number in range(slots)]
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(lambda slot: self._contend_for(*slot), wanted))
            self._over.set()
            for fault in faults:
                fault.join()
            daemons.require_running()
            for name in _PEOPLE:
                self._judge(name, icloud, daemons)
        return contest

    def _begin(self, daemons: SharingDaemons, url: str) -> None:
        daemons.configure(_CONFIGURATION.format(url=url))
        for daemon in daemons.daemons.values():
            daemon.module = ("tests.soak.killable", "--unpaced")  # or there is one request a second
        daemons.start()
        one, *_ = daemons.daemons.values()
        made = json.loads(one.command("token", "add", "*", "--scope", "book", "--json").stdout)
        self._callers = [Scheduler(daemon, made["token"]) for daemon in daemons.daemons.values()]
        for daemon in daemons.daemons.values():
            for name in _PEOPLE:
                wait_for(partial(_is_read, daemon, name), describe=daemon.log.read_text)

    def _contend_for(self, profile: str, start: int) -> None:
        with ThreadPoolExecutor(len(self._callers)) as pool:
            list(pool.map(lambda number: self._book(number, profile, start), range(len(self._callers))))

    def _book(self, caller: int, profile: str, start: int) -> None:
        """Ask until it is settled who has it."""
        body = {"start": to_rfc3339(start), "duration": "30m", "summary": "Intro call"}
        path, key = f"/v1/profiles/{profile}/appointments", f"{start}-{caller}"
        until = time.monotonic() + _SETTLES_WITHIN
        for number in count(caller):
            answer = self._ask(number, "POST", path, body, key=key)
            if answer is not None and answer.status in (201, 202):
                told = answer.json
                if told["state"] == "booked":
                    with self._lock:
                        self._contest.booked.append((profile, start, told["uid"]))
                    return
                if told["state"] not in ("pending", "cancelling"):
                    return
            elif answer is not None and answer.status == 409:
                return
            if time.monotonic() > until:
                return
            time.sleep(0.3)

    def _ask(self, number: int, method: str, path: str, body: Any, *, key: str) -> Answer | None:
        """None when there was no answer, or one of somebody who was being killed."""
        try:
            answer = self._callers[number % len(self._callers)].ask(method, path, body, key=key)
        except (OSError, http.client.HTTPException):
            answer = None
        with self._lock:
            self._contest.answers["none" if answer is None else str(answer.status)] += 1
        return answer

    def _kill(self, daemons: SharingDaemons, every: float) -> None:
        """Now and then, one."""
        while every and not self._over.wait(self._chance.uniform(0.5 * every, 1.5 * every)):
            name = self._chance.choice([*daemons.daemons])
            daemons.kill(name)
            self._contest.kills += 1
            self._over.wait(self._chance.uniform(0, _DOWN))
            daemons.daemons[name].start()

    def _crash(self, every: float) -> None:
        """Now and then, the server of the database, with all that it does."""
        while every and not self._over.wait(self._chance.uniform(0.5 * every, 1.5 * every)):
            self._postgres.stop(how=signal.SIGQUIT)
            self._contest.crashes += 1
            self._over.wait(self._chance.uniform(0, _DOWN))
            self._postgres.start()

    def _judge(self, name: str, icloud: SimulatedIcloud, daemons: SharingDaemons) -> None:
        """Who has which slot now, and what was told of it."""
        contest, had = self._contest, dict[int, list[str]]()
        for stored in icloud.accounts[f"{name}@icloud.com"].calendars["work"].objects().values():
            had.setdefault(read_event(stored.text)[1].start, []).append(stored.uid)
        told = {(start, uid) for profile, start, uid in contest.booked if profile == name}
        there = {(start, uid) for start, uids in had.items() for uid in uids}
        contest.used += len(had)
        contest.doubled += [f"{name} {to_rfc3339(start)}: {uids}" for start, uids in had.items() if len(uids) > 1]
        contest.lost += [f"lost: {name} {to_rfc3339(start)} {uid}" for start, uid in told - there]
        contest.untold += [f"untold: {name} {to_rfc3339(start)} {uid}" for start, uid in there - told]
        if not had:
            return
        window, expected = (to_rfc3339(min(had)), to_rfc3339(max(had) + LENGTH)), _merged(had)
        for daemon in daemons.daemons.values():
            with contextlib.suppress(AssertionError):
                wait_for(lambda: daemon.busy(*window, profile=name) == expected)  # noqa: B023
            if (told_at_end := daemon.busy(*window, profile=name)) != expected:
                contest.untrue.append(f"{name} at {daemon.folder.name}: {told_at_end}, not {expected}")


def _merged(starts: Iterable[int]) -> list[tuple[str, str, str]]:
    """The busy time of events of equal length that begin then."""
    spans: list[list[int]] = []
    for start in sorted(starts):
        if spans and spans[-1][1] >= start:
            spans[-1][1] = start + LENGTH
        else:
            spans.append([start, start + LENGTH])
    return [(to_rfc3339(start), to_rfc3339(end), "BUSY") for start, end in spans]


def _is_read(daemon: Busyd, profile: str) -> bool:
    return not daemon.freebusy("now", "+1d", profile=profile)["stale"]
