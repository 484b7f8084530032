"""A busyd without its handlers beside a lying server, in one event loop and in virtual time.

Each second of virtual time it is noted whether the hour that is asked about is called free while it is busy.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from msgspec import Struct

from busyd.availability.profile import Profile
from busyd.clock import Now
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.flow.ask import FreeBusyAnswer, answer
from busyd.flow.freshness import freshness_of
from busyd.index.publisher import SnapshotPublisher
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Trouble, Unreachable
from busyd.remote.feed import FeedAnswer
from busyd.service.schedule import PollSchedule
from busyd.state.state import State
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE
from busyd.store.store import Store
from busyd.sync.context import PollContext
from tests.chaos.clock import START, VirtualClock
from tests.lying.server import Closes, Hangs, LyingServer
from tests.lying.writes import Writable

ORIGIN: Final = "http://127.0.0.1:8008"
DAY: Final = START + 86_400
POLL: Final = 5
TIMEOUT: Final = 30


class Told(Struct, frozen=True):
    """What an answer says of the hour, in brief."""

    free: bool
    complete: bool
    stale: bool

    @property
    def is_free(self) -> bool:
        """Whether it may be booked."""
        return self.free and self.complete and not self.stale


class Moment(Struct, frozen=True):
    """One second."""

    at: float
    told: Told
    is_busy: bool

    @property
    def is_falsely_free(self) -> bool:
        return self.is_busy and self.told.is_free


class LyingTransport:
    """Hands requests to the server and its replies back. Who waits for a timeout waits in virtual time."""

    def __init__(self, world: "World") -> None:
        self._world = world

    async def send(self, request: DavRequest) -> DavResponse:
        target = request.target.removeprefix(ORIGIN)
        try:
            server, body = self._world.server, request.body.decode()
            if isinstance(server, Writable) and request.method in ("PUT", "DELETE"):
                reply = server.write(request.method, target, body, dict(request.headers))
            else:
                reply = server.answer(request.method, target, body)
        except Hangs:
            self._world.wait(TIMEOUT)
            raise Unreachable("127.0.0.1", Trouble.TIMEOUT) from None
        except Closes:
            raise Unreachable("127.0.0.1", Trouble.RESET) from None
        return DavResponse(reply.status, ORIGIN + target, reply.headers, reply.body.encode())


class World:
    """One server, one daemon, one clock."""

    def __init__(self, server: LyingServer, clock: VirtualClock, *, folder: Path) -> None:
        self.server, self.clock = server, clock
        self.moments: list[Moment] = []
        connection = Connection(
            "anna", ConnectionKind.CALDAV, f"{ORIGIN}{server.base}{server.path}", "u", poll=timedelta(seconds=POLL)
        )
        reference = CalendarReference.parse
        profile = Profile(
            "anna",
            timezone="UTC",
            conflicts=(reference(f"anna/{server.conflicts}" if server.conflicts else "anna"),),
            calendar_rules={reference(f"anna/{name}"): rules for name, rules in server.rules.items()},
            max_age=timedelta(seconds=20),
        )
        self.store = Store.open(folder / MIRROR_FILE, synchronous="OFF")
        self.ledger = LedgerThread(Ledger.open(folder / LEDGER_FILE))
        self.state = State([connection], [profile], machine_zone="UTC")
        publisher = SnapshotPublisher(self.store, self.state, clock=clock)
        self.writer = IndexWriter(self.store, self.state, clock=clock, publisher=publisher)
        context = PollContext(
            connection_state=self.state.connections["anna"],
            client=CaldavClient(LyingTransport(self), lambda: self.writer.expansion.worker),
            read_feed=_no_feeds,
            writer=self.writer,
            ledger=self.ledger,
            clock=clock,
        )
        self.schedule = PollSchedule(context, has_another_password=_never)

    @classmethod
    @asynccontextmanager
    async def start(cls, folder: Path, kind: type[LyingServer]) -> AsyncIterator[Self]:
        clock = VirtualClock()
        world = cls(kind(clock.monotonic, day=DAY), clock, folder=folder)
        try:
            yield world
        finally:
            await world.schedule.stop()
            await world.writer.close()
            world.store.close()
            world.ledger.close()

    async def run(self, seconds: float, *, poll: int = POLL) -> None:
        """Poll after poll, as the schedule would."""
        end = self.clock.passed + seconds
        while self.clock.passed < end:
            await self.schedule.poll_now()
            self.wait(poll)

    async def read_all(self) -> None:
        """Poll until everything is read."""
        for _ in range(4):
            await self.schedule.poll_now()
            if (told := self.told()).complete and not told.stale:
                return
            self.wait(1)
        raise AssertionError(self.trouble)

    async def lie(self, seconds: float = 170, *, settle: float = 0) -> None:
        """Read everything, let `settle` seconds pass, and have the server lie for so long."""
        await self.read_all()
        await self.run(settle)
        self.wait(1)
        self.server.start_lying()
        self.moments.clear()
        self.server.requests.clear()
        self.wait(POLL)
        await self.run(seconds - POLL)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.moments.append(Moment(self.server.passed, self.told(), self.server.is_busy()))

    def ask(self) -> FreeBusyAnswer:
        start = Instant(DAY + 3600 * self.server.hour)
        profile_state, now = self.state.profiles["anna"], Now(self.clock.now(), self.clock.monotonic())
        freshness = freshness_of(self.state, profile_state, now=now)
        return answer("anna", profile_state.snapshot, freshness=freshness, window=Period(start, Instant(start + 3600)))

    def told(self) -> Told:
        told = self.ask()
        return Told(not told.spans, told.complete, told.freshness.stale)

    @property
    def trouble(self) -> str:
        known = self.state.connections["anna"]
        return "; ".join(filter(None, (known.trouble, *known.calendar_trouble.values())))

    @property
    def falsely_free(self) -> int:
        """Seconds."""
        return sum(moment.is_falsely_free for moment in self.moments)

    @property
    def excess(self) -> int:
        """Seconds for which the hour was not called free although it is."""
        return sum(not moment.is_busy and not moment.told.is_free for moment in self.moments)

    def history(self) -> str:
        return history(self.moments)


def history(moments: Sequence[Moment]) -> str:
    """What was told, and when that changed."""
    lines: list[str] = []
    last: tuple[Told, bool] | None = None
    for moment in moments:
        told = moment.told
        if (told, moment.is_busy) != last:
            last = (told, moment.is_busy)
            words = [
                "free" if told.free else "busy",
                *(["incomplete"] if not told.complete else []),
                *(["stale"] if told.stale else []),
                *(["FALSE"] if moment.is_falsely_free else []),
            ]
            lines.append(f"{moment.at:.0f} s: {' '.join(words)}")
    return "; ".join(lines)


async def _no_feeds(url: str, validators: Mapping[str, str]) -> FeedAnswer:
    raise AssertionError(url, validators)


async def _never() -> bool:
    return False
