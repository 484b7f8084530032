"""A small backend: the real one, with busy times filled in by hand, no remote, and a clock that stands still."""

from array import array
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from busyd.availability.building import build_snapshot
from busyd.availability.hours import Hours
from busyd.availability.occurrence_table import OccurrenceTable
from busyd.availability.profile import Profile
from busyd.connection import CalendarReference, Connection, ConnectionKind, RemoteCalendar
from busyd.cooperative import in_slices
from busyd.credentials import Secret
from busyd.credentials.webhooks import derive_secret, digest_of
from busyd.flow.backend import Backend
from busyd.flow.explain import Explained
from busyd.flow.reload import ReloadOutcome
from busyd.flow.webhooks import Webhooks
from busyd.ical.facts import Facts, Problem, ProblemKind
from busyd.index.batch import Incoming
from busyd.index.publisher import SnapshotPublisher
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, FbType, Instant, Period
from busyd.progress import Progress, Report
from busyd.state.problems import ObjectProblem
from busyd.state.readings import readings_of
from busyd.state.state import State
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import MIRROR_FILE, CalendarRecord
from busyd.store.occurrences import IndexEntry
from busyd.store.store import Store
from busyd.store.webhooks import WEBHOOK_EVENTS, Webhook, WebhookProgress

DAY = 86_400
NOW = Instant(1_795_435_200)
"""2026-11-23T12:00:00Z, a Monday."""
HORIZON = Period(Instant(NOW - 92 * DAY), Instant(NOW + 460 * DAY))

Busy = tuple[int, int, FbType]


class StoppedClock:
    """Time passes when a test says so; sleeping takes none."""

    def __init__(self) -> None:
        self.at = NOW
        self.ticks = 0.0

    def now(self) -> Instant:
        return self.at

    def monotonic(self) -> float:
        return self.ticks

    async def sleep(self, seconds: float) -> None:
        self.ticks += seconds

    def advance(self, seconds: int) -> None:
        self.at = Instant(self.at + seconds)
        self.ticks += seconds


class SmallBackend(Backend):
    """Two people on one server, each with a calendar; the server can be made unreachable."""

    clock: StoppedClock

    def __init__(self, directory: Path, *, hours: Hours | None = None) -> None:
        clock, names = StoppedClock(), ("anna", "bob")
        self.directory = directory
        self.ledger = LedgerThread(Ledger.open(directory / LEDGER_FILE))
        self.command_line = Ledger.open(directory / LEDGER_FILE)
        """The same file, as `busyd token` opens it."""
        self.store = Store.open(directory / MIRROR_FILE, synchronous="OFF")
        self.state = State(
            [Connection(name, ConnectionKind.CALDAV, f"https://{name}.example/") for name in names],
            [
                Profile(
                    name,
                    timezone="Europe/Berlin",
                    primary=CalendarReference(name, "Work"),
                    hours=hours if name == "anna" else None,
                )
                for name in names
            ]
            + [Profile("nobody", timezone="UTC")],
            machine_zone="UTC",
        )
        self.log = ChangeLog.open_or_begin_anew(directory / CHANGES_FILE, now=clock.now())
        publisher = SnapshotPublisher(self.store, self.state, clock=clock)
        writer = IndexWriter(self.store, self.state, clock=clock, publisher=publisher)
        super().__init__(self.state, writer, ledger=self.ledger, clock=clock, changes=self.log)
        self.reachable = True
        self.refreshed = 0
        self.explained: list[Explained] = []
        self.reloaded = ReloadOutcome("applied")
        records = [self._record(number, name) for number, name in enumerate(names, 1)]
        self.state.take_calendars([replace(record, as_of=None) for record in records])
        self.state.confirm(records, monotonic=clock.monotonic())

    def set_slots(self, **changes: Any) -> None:
        """Give anna other settings for slots, as a reload would."""
        profile_state = self.state.profiles["anna"]
        slots = replace(profile_state.profile.slots, **changes)
        profile_state.profile = replace(profile_state.profile, slots=slots)
        self.state.publish(profile="anna")

    async def set_busy(self, name: str, spans: Sequence[Busy], *, incomplete: str = "", since: int = EARLIEST) -> None:
        """Give a person's calendar this content, as a poll would."""
        kinds = sorted({kind for _, _, kind in spans})
        rows = array("q", [cell for start, end, kind in spans for cell in (start, end, kinds.index(kind))])
        entry = IndexEntry(
            object=1,
            zone="",
            span=HORIZON,
            recurring=False,
            occurrences=rows,
            facts=tuple(Facts(fbtype=kind) for kind in kinds),
            incomplete=incomplete,
            incomplete_since=since,
        )
        profile_state = self.state.profiles[name]
        table = await in_slices(OccurrenceTable(self.state.table).changed({1: entry}))
        for link in profile_state.links:
            self.state.put_table(link.calendar or 0, link.zone, table=table)
        readings = readings_of(self.state, profile_state, links=profile_state.links)
        assert readings is not None
        profile_state.snapshot = await in_slices(build_snapshot(readings, HORIZON))
        profile_state.version += 1
        self.state.publish()

    async def store_object(self, calendar: int, href: str, payload: bytes, *, etag: str = '"remote"') -> None:
        """The mirror has an object now, as a poll would store it."""
        await self._writer.complete_tables()
        await self._writer.store_batch(self.state.calendars[calendar], [Incoming(href, etag, payload)])

    async def publish(self) -> None:
        """What was stored counts in every answer, as after a poll."""
        await self._writer.complete_tables()

    def note_problem(self, calendar: int, href: str) -> None:
        """An object of a calendar has a rule that nobody understands."""
        problem = Problem(ProblemKind.BAD_RULE, "uid-1", "FREQ=SOMETIMES is no rule")
        self.state.problems[1] = (ObjectProblem(calendar, href, problem, '"1"', is_doubtful=True),)

    def confirm(self, name: str, as_of: Instant | None, *, complete: bool = True) -> None:
        """The remote confirmed the state of a person's calendar then; None: it was never read."""
        number = {"anna": 1, "bob": 2}[name]
        record = replace(self.state.calendars[number], as_of=as_of, complete=complete and as_of is not None)
        self.state.confirm([record], monotonic=self.clock.monotonic())

    def token(self, profile: str, *scopes: str, details: bool = False, expires: Instant | None = None) -> str:
        """A new token."""
        made = self.command_line.add_token(
            profile, scopes=scopes or ("freebusy",), details=details, expires=expires, name="test", now=self.clock.now()
        )
        return made.text

    async def add_webhook(self, name: str, *, profile: str = "anna", progress: WebhookProgress) -> None:
        """A hook as the command line has made it, and how far it has come."""
        master = Secret("m" * 64)

        async def read_master() -> Secret:
            return master

        digest = digest_of(derive_secret(master, name, generation=0))
        url = "https://receiver.example/secret/path"
        hook = Webhook(name, profile, url, WEBHOOK_EVENTS, False, self.clock.now(), 0, None, digest)
        self.command_line.webhooks(lambda kept: kept.add(hook))
        self.command_line.webhooks(lambda kept: kept.note({name: progress}))
        self.webhooks = Webhooks(self.ledger, self.changes, clock=self.clock, read_master=read_master)
        await self.webhooks.read_hooks()

    async def explain(self, profile: str, window: Period) -> list[Explained]:
        assert profile in self.state.profiles
        return [event for event in self.explained if event.start < window.end and window.start < event.end]

    def told_from(self, profile: str) -> object:
        assert profile in self.state.profiles
        return list(self.explained)

    async def refresh(self, profile: str, max_age: timedelta) -> bool:
        assert max_age >= timedelta(0)
        self.refreshed += 1
        if not self.reachable or not self.state.profiles[profile].links:
            return False
        self.confirm(profile, self.clock.now())
        return True

    async def sync_now(self, report: Report) -> list[str]:
        for name in self.state.connections:
            report(Progress(name, f"{name}/Work", "done" if self.reachable else "failed", 1, 1))
        return [] if self.reachable else list(self.state.connections)

    async def reload(self) -> ReloadOutcome:
        return self.reloaded

    def close(self) -> None:
        self.store.close()
        self.ledger.close()
        self.log.close()
        self.command_line.close()

    def _record(self, number: int, name: str) -> CalendarRecord:
        remote = RemoteCalendar(f"/{name}/calendars/{number}/", "Work")
        return CalendarRecord(number, name, remote, as_of=self.clock.now(), complete=True)


def busy(start: float, hours: float = 1, *, kind: FbType = FbType.BUSY) -> Busy:
    """A span that starts so many hours after NOW."""
    return int(NOW + start * 3600), int(NOW + (start + hours) * 3600), kind
