"""What the handlers may ask for: one object with every journey on it, so that a listener knows no room behind it.

The journeys that need the engine are loaded when they are first taken: a start answers without it.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from busyd.availability.snapshot import Snapshot
from busyd.clock import Clock
from busyd.flow.ask import FreeBusyAnswer, ask_freebusy, find_profile, freshness_of
from busyd.flow.reload import ReloadOutcome, ReloadRequests
from busyd.index.mirroring import Mirroring
from busyd.period import Instant, Period
from busyd.progress import Report
from busyd.state.state import ObjectProblem, ProfileState, State
from busyd.store.ledger import Ledger

if TYPE_CHECKING:
    from busyd.flow.explain import Explained


class ProblemView(Struct, frozen=True):
    """Something in a calendar that could not be taken as it stands, for a person."""

    calendar: str
    href: str
    uid: str
    kind: str
    reason: str


class Pollable(Protocol):
    """What Backend asks of a schedule; the schedule itself comes with lxml, which a start does without."""

    async def poll_now(self, report: Report | None = None) -> bool: ...


class Backend:
    """The journeys, ready to be asked. Made by `service/lifecycle.py`, used by `endpoint/`."""

    def __init__(
        self,
        state: State,
        mirroring: Mirroring,
        ledger: Ledger,
        clock: Clock,
    ) -> None:
        self.state = state
        self.ledger = ledger
        self.clock = clock
        self._mirroring = mirroring
        self.schedules: Mapping[str, Pollable] = {}
        """By connection; empty until polling has begun."""
        self.reloads = ReloadRequests()

    async def freebusy(self, profile: str, window: Period) -> FreeBusyAnswer:
        """When is this person busy? Raises UnknownProfile."""
        return await ask_freebusy(self.state, self._expand, profile, window, self.clock.now())

    async def explain(self, profile: str, window: Period) -> "list[Explained]":
        """Why? Every event that touches the window, also those that do not block. Raises UnknownProfile."""
        from busyd.flow.explain import explain_window

        return await explain_window(self._mirroring, find_profile(self.state, profile), window)

    async def refresh(self, profile: str, max_age: timedelta) -> bool:
        """Make sure the profile's proofs are at most so old, by one poll of the connections that need it.

        False when that could not be had. Raises UnknownProfile.
        """
        profile_state = find_profile(self.state, profile)
        limit = Instant(int(self.clock.now() - max_age.total_seconds()))
        for _ in range(2):  # a poll under way may have passed by what is asked for
            needed = self._older_than(limit, profile_state)
            if not needed:
                break
            for name in sorted(needed & self.schedules.keys()):
                connection = self.state.connection_state(name)
                connection.wanted = max(limit, connection.wanted or limit)
                await self.schedules[name].poll_now()
        as_of = freshness_of(self.state, profile_state, self.clock.now()).as_of
        return as_of is not None and as_of >= limit

    def _older_than(self, limit: Instant, profile_state: ProfileState) -> set[str]:
        """The connections that have a calendar of the profile whose proof is older, or is none."""
        records = ((link, self.state.calendars.get(link.calendar or 0)) for link in profile_state.links if link.blocks)
        return {
            link.reference.connection
            for link, record in records
            if record is None or record.as_of is None or record.as_of < limit
        }

    async def sync_now(self, report: Report) -> list[str]:
        """Poll every connection now; the names of those that failed."""
        return [name for name, schedule in self.schedules.items() if not await schedule.poll_now(report)]

    async def reload(self) -> ReloadOutcome:
        """Read the configuration again; what came of it. Raises StorageError."""
        return await self.reloads.outcome()

    def problems(self) -> list[ProblemView]:
        """What is wrong with single events, in the order of their calendars."""
        views = [self._view(one) for found in self.state.problems.values() for one in found]
        return sorted(views, key=lambda view: (view.calendar, view.uid, view.href))

    async def alive(self) -> None:
        """Returns once the store's thread has answered: the watchdog asks."""
        await self._mirroring.store.ping()

    async def _expand(self, profile_state: ProfileState, window: Period) -> Snapshot:
        from busyd.index.rolling import expand_window

        return await expand_window(self._mirroring, profile_state, window)

    def _view(self, one: ObjectProblem) -> ProblemView:
        record = self.state.calendars.get(one.calendar)
        label = record.label if record is not None else ""
        return ProblemView(label, one.href, one.problem.uid, one.problem.kind.value, one.problem.reason)
