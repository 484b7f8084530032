"""Three daemons share the connections of one database, and one is killed: each is polled by one, in its turn.

A server that does nothing but answer logs who asks what and when. The database tells of every write to a calendar by
another daemon than the owner of its connection.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Final

from tests.bench.stub import Exchange, Wish, control
from tests.bench.syncing import running_stub
from tests.postgres import PostgresServer, running
from tests.soak.fleet import DAEMONS, SharingDaemons

EARLY: Final = 0.9
LATE: Final = 1.2
"""Intervals from the beginning of a poll to that of the next one."""
HELD_UP: Final = 1.0
"""Seconds by which the request that begins a poll may come late, so that the next one seems too soon."""
TAKEN_OVER: Final = 45.0
"""Seconds after a kill within which all is polled again that is due by then."""
_CONNECTION: Final = (
    '  c{number}: {{kind: caldav, url: "{url}", username: c{number}, password: {{env: PASSWORD}}, poll: {interval}s,'
    " user_agent: {daemon}}}\n"
)
_PROFILE: Final = '  p{number}: {{timezone: Europe/Berlin, conflicts: ["c{number}/*"]}}\n'
_POLLED: Final = "SELECT COUNT(DISTINCT connection) FROM mirror.calendar WHERE as_of IS NOT NULL"
_STEP: Final = 0.5


@dataclass(frozen=True)
class Kill:
    """A daemon that was killed."""

    at: float
    """Monotonic."""
    daemon: str
    owned: frozenset[str]
    as_of: Mapping[str, float]
    """Connection -> until when it was proved at that moment, monotonic."""


@dataclass
class Polls:
    """What the log of the server says."""

    count: int = 0
    together: list[str] = field(default_factory=list)
    """Polled by two daemons at once."""
    early: list[str] = field(default_factory=list)
    hardly_early: int = 0
    """Too soon by less than `HELD_UP`."""
    late: list[str] = field(default_factory=list)
    """Outside take-overs."""
    not_taken_over: list[str] = field(default_factory=list)
    """What was due after a kill, and was not polled in time."""
    gaps: list[float] = field(default_factory=list)
    """Intervals from one poll to the next outside take-overs, in order."""
    taken_over: list[float] = field(default_factory=list)
    """Seconds from a kill until what was due was polled."""

    @property
    def faults(self) -> list[str]:
        """The first of each kind."""
        return [one for kind in (self.together, self.early, self.late, self.not_taken_over) for one in kind[:10]]

    def lines(self) -> list[str]:
        gaps = sorted(self.gaps) or [0.0]
        return [
            f"polls: {self.count}; intervals between two of them: {gaps[0]:.3f} to {gaps[-1]:.3f}, half below"
            f" {gaps[len(gaps) // 2]:.3f}",
            f"by two daemons at once: {len(self.together)}; sooner than {EARLY}: {len(self.early)}, and by less than"
            f" {HELD_UP:g} s {self.hardly_early}; later than {LATE}: {len(self.late)}",
            f"polled again after a kill: {len(self.taken_over)}, the last after {max(self.taken_over, default=0):.1f}"
            f" s; not within {TAKEN_OVER:g} s: {len(self.not_taken_over)}",
            *self.faults,
        ]


def judge(
    log: Sequence[Exchange], interval: float, *, until: float, kills: Sequence[Kill] = (), early: float = EARLY
) -> Polls:
    """What is wrong in a log that goes to `until`."""
    polls = Polls()
    by_connection: dict[str, list[Exchange]] = defaultdict(list)
    for one in sorted(log, key=lambda one: one.began):
        if one.user:
            by_connection[one.user].append(one)
    for name, exchanges in by_connection.items():
        for one, after in pairwise(exchanges):
            if one.agent != after.agent and after.began < one.ended:
                polls.together.append(f"{name} is asked about by {one.agent} and by {after.agent} at {one.began:.1f}")
        begun = [*_beginnings(exchanges)]
        polls.count += len(begun)
        kept = [
            one for one in begun if not any(_is_broken_off(name, one, kill=kill, interval=interval) for kill in kills)
        ]
        for one, after in pairwise([*kept, Exchange("end", 0, 0, until, until)]):
            _judge_gap(polls, name, one, after, interval=interval, kills=kills, early=early)
    polls.gaps.sort()
    return polls


def _beginnings(exchanges: Sequence[Exchange]) -> Iterator[Exchange]:
    """The first request of each poll: the one listing that it asks for, or the discovery of the account before that."""
    first: Exchange | None = None
    for one in exchanges:
        if one.kind == "account":
            first = first if first is not None and first.agent == one.agent else one
        elif one.kind == "listing":
            yield first if first is not None and first.agent == one.agent else one
            first = None


def _is_broken_off(name: str, poll: Exchange, *, kill: Kill, interval: float) -> bool:
    """Whether nothing of a poll was kept, as its daemon was killed.

    What it proves is dated before its first request, which on a busy machine may be some seconds. The poll before it is
    nearly an interval away.
    """
    return poll.agent == kill.daemon and kill.as_of.get(name, poll.began) < poll.began - interval / 2 <= kill.at


def _judge_gap(
    polls: Polls, name: str, one: Exchange, after: Exchange, *, interval: float, kills: Sequence[Kill], early: float
) -> None:
    gap = (after.began - one.began) / interval
    told = f"{name}: {gap:.3f} intervals at {one.began:.1f} by {one.agent} and {after.began:.1f} by {after.agent}"
    if after.kind != "end" and gap < early:
        if (early - gap) * interval > HELD_UP:
            polls.early.append(told)
        else:
            polls.hardly_early += 1
    for kill in kills:
        if name in kill.owned and one.began <= kill.at < after.began:
            by = max(kill.at + TAKEN_OVER, one.began + LATE * interval)
            if after.began > by:
                polls.not_taken_over.append(f"{told}; killed at {kill.at:.1f}")
            elif after.kind != "end" and one.began + interval <= kill.at + TAKEN_OVER:
                polls.taken_over.append(after.began - kill.at)
            return
    if after.kind != "end":
        polls.gaps.append(gap)
    if gap > LATE:
        polls.late.append(told)


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak shared-polling", description=__doc__)
    parser.add_argument("--connections", type=int, default=1000, help="how many are shared (default: 1,000)")
    parser.add_argument("--interval", type=int, default=60, help="seconds between polls of one (default: 60)")
    parser.add_argument("--minutes", type=float, default=5.0, help="after all were polled once (default: 5)")
    parser.add_argument("--kills", type=int, default=1, help="daemons that are killed meanwhile (default: 1)")
    parser.add_argument("--seed", type=int, default=1, help="of the dice (default: 1)")
    wanted = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running() as postgres:
        sharing = SharedPolling(Path(folder), postgres, connections=wanted.connections, interval=wanted.interval)
        polls, writes, wrong = sharing.run(60 * wanted.minutes, kills=wanted.kills, chance=Random(wanted.seed))
    print(*polls.lines(), f"writes to calendars: {writes}, not by the owner: {len(wrong)}", *wrong[:20], sep="\n")
    return 1 if polls.faults or wrong else 0


class SharedPolling:
    """Three daemons and their connections."""

    def __init__(self, folder: Path, postgres: PostgresServer, *, connections: int, interval: int) -> None:
        self._folder = folder
        self._postgres = postgres
        self._connections = connections
        self._interval = interval

    def run(self, seconds: float, *, kills: int, chance: Random) -> tuple[Polls, int, list[tuple[str, str, str]]]:
        """Let them poll so long; what came of it, how often they wrote, and what they wrote of others."""
        with (
            running_stub(1, 0) as stub,
            SharingDaemons(self._folder, self._postgres, environment={"PASSWORD": "p"}) as daemons,
        ):
            daemons.configure(self._configuration(f"http://127.0.0.1:{stub.port}/"))
            began = time.monotonic()
            daemons.start()
            daemons.watch_writes()
            self._until_polled(daemons)
            print(f"all polled once after {time.monotonic() - began:.0f} s: {_told(daemons)}", flush=True)
            killed = []
            for _ in range(kills):
                time.sleep(seconds / (kills + 1))
                killed.append(self._kill(daemons, chance.choice([*daemons.shares()])))
                time.sleep(max(0.0, killed[-1].at + TAKEN_OVER + 15 - time.monotonic()))
                print(f"after the kill: {_told(daemons)}", flush=True)
                daemons.daemons[killed[-1].daemon].start(wait=False)
            time.sleep(seconds / (kills + 1))
            until, log = time.monotonic(), control(stub.port, Wish())
            print(f"at the end: {_told(daemons)}", flush=True)
            writes, wrong = daemons.writes()
        return judge(log, self._interval, until=until, kills=killed), writes, wrong

    def _configuration(self, url: str) -> str:
        numbers = range(self._connections)
        connections = (
            _CONNECTION.format(number=number, url=url, interval=self._interval, daemon="{daemon}") for number in numbers
        )
        profiles = (_PROFILE.format(number=number) for number in numbers)
        return f"connections:\n{''.join(connections)}profiles:\n{''.join(profiles)}"

    def _until_polled(self, daemons: SharingDaemons) -> None:
        while daemons.ask(_POLLED) != [(self._connections,)]:
            daemons.require_running()
            time.sleep(_STEP)

    @staticmethod
    def _kill(daemons: SharingDaemons, name: str) -> Kill:
        owned = frozenset(one for one, owner in daemons.owners().items() if owner == name)
        daemons.kill(name)
        at = time.monotonic()
        ahead = at - time.time()
        proved = daemons.ask("SELECT connection, MAX(as_of) FROM mirror.calendar GROUP BY connection")
        return Kill(at, name, owned, {one: as_of + ahead for one, as_of in proved if as_of is not None})


def _told(daemons: SharingDaemons) -> str:
    shares, memory = daemons.shares(), daemons.memory()
    return ", ".join(f"{name} polls {shares[name]} ({memory.get(name, 0.0):.0f} MB)" for name in DAEMONS)
