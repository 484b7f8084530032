"""A whole busyd without its handlers, beside a simulated iCloud, in one event loop and in virtual time.

Before and after each request, and whenever a snapshot is swapped, it is checked that nothing is called free that was
busy before and is still so on the server.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Self, TypeVar

from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.clock import Now
from busyd.connection import CalendarReference, Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.flow.ask import FreeBusyAnswer, answer
from busyd.flow.backend import Backend
from busyd.flow.freshness import CalendarHealth, freshness_of
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.progress import Progress
from busyd.remote.client import CaldavClient
from busyd.remote.feed import FeedAnswer, FeedRequest, fetch_feed
from busyd.remote.transport import Transport
from busyd.remote.wire import TransferLimits
from busyd.service.schedule import PollSchedule
from busyd.state.links import remembered_by_profile
from busyd.state.state import State
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.changes import ChangeEvent
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE, CalendarRecord
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from busyd.sync.context import PollContext
from tests.chaos.clock import START, VirtualClock
from tests.chaos.oracle import Span, Truth, truth_of
from tests.icloud.feeds import Feed
from tests.icloud.log import Entry
from tests.icloud.server import SimulatedIcloud
from tests.index.replay import Follower

T = TypeVar("T")

USER, PASSWORD = "anna@icloud.com", "abcd-efgh-ijkl-mnop"
WINDOW = Period(START, Instant(START + 400 * 86_400))
QUICK = TransferLimits(connect=5.0, idle=1.5, total=6.0)
POLL = 60


_SPANS = (ChangeEvent.BUSY, ChangeEvent.FREE)


class Killed(BaseException):
    """The process ends here: what is committed stays, all else is lost."""


class WronglyFree(AssertionError):
    """Time is called free that was busy before and still is."""


class MortalStore(Store):
    """The file, and the moment at which power fails: before or after the n-th commit from now."""

    dies_in: int | None = None
    dies_after_commit = False

    async def transaction(self, work: Callable[[Transaction], T]) -> T:
        if self.dies_in is None:
            return await super().transaction(work)
        self.dies_in -= 1
        if self.dies_in > 0:
            return await super().transaction(work)
        if self.dies_after_commit:
            await super().transaction(work)
        raise Killed


class WatchedPublisher(SnapshotPublisher):
    """Calls `watch` whenever a snapshot may have been swapped."""

    watch: Callable[[], None] = staticmethod(lambda: None)

    async def publish_snapshots(self, connections: Iterable[str] | None = None) -> None:
        await super().publish_snapshots(connections)
        self.watch()


class WatchedTransport(Transport):
    """Calls `between` before each request and after it: changes on other devices happen there, and checks.

    `poisoned` are names of objects that the server lists, leaves out of every multiget, and chokes on at a GET.
    """

    between: Callable[[], None] = staticmethod(lambda: None)
    poisoned: frozenset[str] = frozenset()

    async def send(self, request: DavRequest) -> DavResponse:
        self.between()
        body = request.body
        for name in self.poisoned:
            if request.method == "GET" and name in request.target:
                return DavResponse(500, "http://127.0.0.1/")
            body = re.sub(rb"<D:href>[^<]*" + re.escape(name).encode() + rb"</D:href>", b"", body)
        response = await super().send(replace(request, body=body))
        self.between()
        return response


class World:
    """One account, one daemon on one state directory, one oracle."""

    def __init__(self, icloud: SimulatedIcloud, clock: VirtualClock, *, folder: Path, connection: Connection) -> None:
        self.icloud, self.clock, self.folder, self.connection = icloud, clock, folder, connection
        self.anna = icloud.add_account(USER, password=PASSWORD, dsid="300000001")
        self.secret = Secret(PASSWORD)
        self.allow_private = True
        self.feeds: list[Feed] = []
        self.conflicts = ["anna/*"] if connection.kind is ConnectionKind.ICLOUD else ["anna"]
        self.calendar_rules: dict[str, Rules] = {}
        self.meanwhile: Callable[[], None] = lambda: None
        self.shown: set[tuple[str, Span]] = set()
        """What was called busy, and is so."""
        self.excess: set[Span] = set()
        """What is called busy and is not so (any more): should it become so again, that has not been seen yet."""
        self.checks = 0
        self.told: list[Progress] = []
        self.follower: Follower | None = None
        """Knows of anna only what the log of changes tells."""
        self.followed = 0

    @classmethod
    @asynccontextmanager
    async def start(
        cls, folder: Path, *, kind: ConnectionKind = ConnectionKind.ICLOUD, poll: int = POLL, url: str = ""
    ) -> AsyncIterator[Self]:
        """The account has the calendars Work and Home; the daemon has not started yet."""
        clock = VirtualClock()
        async with SimulatedIcloud.start(now=clock.monotonic) as icloud:
            username = USER if kind is not ConnectionKind.ICS else ""
            address = icloud.feeds_url + url if url else icloud.bootstrap_url
            interval = timedelta(seconds=poll)
            world = cls(
                icloud, clock, folder=folder, connection=Connection("anna", kind, address, username, poll=interval)
            )
            world.anna.add_calendar("Work", id="work")
            world.anna.add_calendar("Home", id="home")
            world.anna.knobs.idle_seconds = 0
            await world.boot()
            try:
                yield world
            finally:
                await world.shut_down()

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where the password may go."""
        places = self.icloud.places
        return (places.bootstrap, places.shard, places.other_shard)

    async def boot(self) -> None:
        """Start the daemon on the state directory, as `service/lifecycle.py` does."""
        self.store = MortalStore.open(self.folder / MIRROR_FILE, synchronous="OFF")
        ledger = Ledger.open(self.folder / LEDGER_FILE)
        self.ledger = LedgerThread(ledger)
        references = tuple(CalendarReference.parse(text) for text in self.conflicts)
        rules = {CalendarReference.parse(text): rules for text, rules in self.calendar_rules.items()}
        profile = Profile("anna", conflicts=references, timezone="UTC", calendar_rules=rules)
        self.state = State([self.connection], [profile], machine_zone="UTC")
        self.state.remembered = remembered_by_profile(ledger.resolved_links(), self.state.profiles)
        self.changes = ChangeLog.open_or_begin_anew(self.folder / CHANGES_FILE, now=self.clock.now())
        recorder = ChangeRecorder(self.changes, self.state, clock=self.clock, store=self.store)
        self.publisher = WatchedPublisher(self.store, self.state, clock=self.clock, changes=recorder)
        self.writer = IndexWriter(self.store, self.state, clock=self.clock, publisher=self.publisher)
        restore = Restore(self.writer)
        restore.take_snapshots()
        self.check()
        self.publisher.watch = self.check
        await restore.load_tables()
        self.check()
        self.transport = WatchedTransport(
            self.connection, lambda: self.secret, clock=self.clock, limits=QUICK, allow=self.hosts
        )
        self.transport.between = self._between
        context = PollContext(
            connection_state=self.state.connections["anna"],
            client=CaldavClient(self.transport, lambda: self.writer.expansion.worker),
            read_feed=self._read_feed,
            writer=self.writer,
            ledger=self.ledger,
            clock=self.clock,
        )
        self.schedule = PollSchedule(context, has_another_password=self.transport.has_another_password)
        self.backend = Backend(self.state, self.writer, ledger=self.ledger, clock=self.clock, changes=self.changes)
        self.backend.schedules = {"anna": self.schedule}
        self.backend.reloads.started()

    async def shut_down(self) -> None:
        await self.schedule.stop()
        await self.transport.close()
        await self.writer.close()
        self.store.close()
        self.ledger.close()
        self.changes.close()

    async def restart(self) -> None:
        await self.shut_down()
        await self.boot()

    async def poll(self, *, after: float = POLL + 6) -> bool:
        """Let time pass and poll, unless the schedule refuses to; True when it went well."""
        self.clock.advance(after)
        good = await self.schedule.poll_now()
        self.check()
        await self.check_log()
        return good

    async def check_log(self) -> None:
        """Whoever only follows the log of changes knows what answers say."""
        snapshot, follower = self.state.profiles["anna"].snapshot, self.follower
        while entries := await self.changes.entries_after(self.followed):
            self.followed = entries[-1].number
            if any(entry.change.event is ChangeEvent.RESET for entry in entries):
                follower = None
            elif follower is not None:
                follower.take(entry.change.body for entry in entries if entry.change.event in _SPANS)
        now = Now(self.clock.now(), self.clock.monotonic())
        known = freshness_of(self.state, self.state.profiles["anna"], now=now).known
        self.follower = follower
        if snapshot is None or not known or snapshot.is_incomplete:
            return  # what is not known is told as unavailable, wherever answers have nothing
        if follower is None or follower.span != snapshot.span:
            self.follower = Follower(snapshot)
        else:
            assert follower.spans == snapshot.between(snapshot.span)

    async def sync(self, *, polls: int = 4) -> None:
        """Poll until nothing is left to do."""
        for _ in range(polls):
            assert await self.poll(), self.trouble

    # What it knows.

    @property
    def trouble(self) -> str:
        connection_state = self.state.connections["anna"]
        return "; ".join(filter(None, (connection_state.trouble, *connection_state.calendar_trouble.values())))

    def ask(self, window: Period = WINDOW) -> FreeBusyAnswer:
        profile_state = self.state.profiles["anna"]
        freshness = freshness_of(self.state, profile_state, now=Now(self.clock.now(), self.clock.monotonic()))
        return answer("anna", profile_state.snapshot, freshness=freshness, window=window)

    def busy(self) -> list[Span]:
        return [(start, end) for start, end, _ in self.ask().spans]

    def truth(self) -> Truth:
        return truth_of(self.anna, *self.feeds)

    def record(self, calendar: str) -> CalendarRecord:
        """What is known of a calendar, by the last part of its href."""
        return next(one for one in self.state.calendars.values() if one.remote.id == calendar)

    def assert_right(self) -> None:
        """The answer is complete, and exactly the truth."""
        told = self.ask()
        assert told.complete, (self.trouble, told.freshness)
        assert self.busy() == sorted(self.truth().values()), self.trouble
        self.excess.clear()

    def check(self) -> None:
        """Nothing that was called busy and still is on the server may be called free. Raises WronglyFree.

        But what moved to a calendar that could not be read for so long that it is stale, as answers say.
        """
        self.checks += 1
        truth, told = set(self.truth().items()), self.ask()
        self.shown &= truth
        if not told.freshness.known or self.state.profiles["anna"].snapshot is None:
            return  # all of it blocks
        spans = {(start, end) for start, end, _ in told.spans}
        lost = [one for one in self.shown if one[1] not in spans and not _inside(one[1], spans)]
        if lost and told.freshness.stale:
            lost = [one for one in lost if not self._is_in_stale_calendar(one[0])]
        if lost:
            message = f"called free though busy: {sorted(lost)[:5]}, at {self.clock.passed:.0f} s"
            raise WronglyFree(message)
        self.excess = (self.excess & spans) | (spans - {span for _, span in truth})
        self.shown |= {one for one in truth if one[1] in spans - self.excess}

    def _is_in_stale_calendar(self, uid: str) -> bool:
        stale = {one.calendar for one in self.ask().freshness.calendars if one.state is not CalendarHealth.FRESH}
        records = [one for one in self.state.calendars.values() if one.label in stale]
        return any(
            known.uid == uid
            for record in records
            if record.remote.id in self.anna.calendars
            for known in self.anna.calendars[record.remote.id].objects().values()
        )

    # What was sent.

    def mark(self) -> None:
        self.icloud.log.clear()

    def sent(self, **wanted: str) -> list[Entry]:
        return self.icloud.log.requests(**wanted)

    def asked(self) -> list[str]:
        """The requests since `mark`, as one word each."""
        return [entry.report or entry.method for entry in self.sent()]

    def _between(self) -> None:
        self.check()
        self.meanwhile()

    async def _read_feed(self, url: str, validators: Mapping[str, str]) -> FeedAnswer:
        own = self.connection.kind is ConnectionKind.ICS
        request = FeedRequest(
            url,
            etag=validators.get("etag"),
            last_modified=validators.get("last_modified"),
            is_configured=own,
            allow_private=self.allow_private,
        )
        return await fetch_feed(request, limits=QUICK)


def _inside(span: Span, spans: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in spans)


def fill(world: World, calendar: str, *, numbers: Sequence[int], version: int = 0) -> None:
    """Put events into a calendar; each number owns two hours of time, of which a version takes a half."""
    from tests.chaos.oracle import event

    for number in numbers:
        world.anna.calendars[calendar].put(f"e{number}.ics", event(f"e{number}", *slot(number, version)))


def slot(number: int, version: int = 0) -> Span:
    """Where the event of that number lies: spans of different numbers never touch."""
    start = START + number * 7200 + version % 4 * 1500
    return start, start + 1200
