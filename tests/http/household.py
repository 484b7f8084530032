"""A small backend with real rooms: a state, snapshots made from columns, a ledger in a file, a clock that stands."""

from array import array
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.availability.occurrence_table import OccurrenceTable
from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.availability.snapshot import Reading, Snapshot, build_snapshot
from busyd.connection import CalendarReference, Connection, ConnectionKind, RemoteCalendar
from busyd.cooperative import in_slices
from busyd.flow.ask import FreeBusyAnswer, ask_freebusy
from busyd.flow.backend import ProblemView
from busyd.flow.explain import Explained
from busyd.flow.reload import ReloadOutcome
from busyd.ical.facts import Facts
from busyd.period import FbType, Instant, Period
from busyd.progress import Progress, Report
from busyd.state.state import ProfileState, State
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import CalendarRecord
from busyd.store.occurrences import IndexEntry

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


class Household:
    """Two people on one server, each with a calendar; anna's server can be made unreachable."""

    def __init__(self, directory: Path, *, hours: Hours | None = None) -> None:
        self.clock = StoppedClock()
        self.ledger = Ledger.open(directory / LEDGER_FILE)
        self.reachable = True
        self.refreshed = 0
        self.explained: list[Explained] = []
        self.found: list[ProblemView] = []
        self.reloaded = ReloadOutcome("applied")
        names = ("anna", "bob")
        self._columns: dict[str, OccurrenceTable] = {}
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
        self.state.take_calendars([self._record(number, name) for number, name in enumerate(names, 1)])

    async def set_busy(self, name: str, spans: Sequence[Busy], *, incomplete: str = "") -> None:
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
        )
        self._columns[name] = await in_slices(OccurrenceTable(self.state.table).changed({1: entry}))
        profile_state = self.state.profiles[name]
        profile_state.snapshot = await self._build(profile_state, HORIZON)
        profile_state.version += 1
        self.state.proofs += 1

    def confirm(self, name: str, as_of: Instant | None, *, complete: bool = True) -> None:
        """The remote confirmed the state of a person's calendar then; None: it was never read."""
        number = {"anna": 1, "bob": 2}[name]
        record = replace(self.state.calendars[number], as_of=as_of, complete=complete and as_of is not None)
        self.state.confirm([record])

    def token(self, profile: str, *scopes: str, details: bool = False, expires: Instant | None = None) -> str:
        """A new token."""
        made = self.ledger.add_token(
            profile, scopes=scopes or ("freebusy",), details=details, expires=expires, name="test", now=self.clock.now()
        )
        return made.text

    async def freebusy(self, profile: str, window: Period) -> FreeBusyAnswer:
        return await ask_freebusy(self.state, self._build, profile, window, self.clock.now())

    async def explain(self, profile: str, window: Period) -> Sequence[Explained]:
        assert profile in self.state.profiles
        return [one for one in self.explained if one.start < window.end and window.start < one.end]

    async def refresh(self, profile: str, max_age: timedelta) -> bool:
        assert max_age >= timedelta(0)
        self.refreshed += 1
        if not self.reachable or not self.state.profiles[profile].links:
            return False
        self.confirm(profile, self.clock.now())
        return True

    async def sync_now(self, report: Report) -> Sequence[str]:
        for name in self.state.connections:
            report(Progress(name, f"{name}/Work", "done" if self.reachable else "failed", 1, 1))
        return [] if self.reachable else list(self.state.connections)

    async def reload(self) -> ReloadOutcome:
        return self.reloaded

    def problems(self) -> Sequence[ProblemView]:
        return self.found

    def close(self) -> None:
        self.ledger.close()

    async def _build(self, profile_state: ProfileState, window: Period) -> Snapshot:
        columns = self._columns.get(profile_state.profile.name)
        readings = [] if columns is None else [Reading(columns, Rules(), frozenset())]
        return await in_slices(build_snapshot(readings, window))

    def _record(self, number: int, name: str) -> CalendarRecord:
        remote = RemoteCalendar(f"/{name}/calendars/{number}/", "Work")
        return CalendarRecord(number, name, remote, as_of=self.clock.now(), complete=True)


def busy(start: int, hours: float = 1, kind: FbType = FbType.BUSY) -> Busy:
    """A span that starts so many hours after NOW."""
    return NOW + start * 3600, int(NOW + (start + hours) * 3600), kind
