"""What handlers, commands and tests may ask of the daemon: values in, frozen values out.

What needs the expansion engine is imported when it is first asked for: a start answers without it.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from msgspec import Struct

from busyd.availability.snapshot import Snapshot
from busyd.clock import Clock, Now
from busyd.cooperative import apply, in_slices
from busyd.flow.accepting import AcceptedProblems
from busyd.flow.ask import FreeBusyAnswer, NotConfirmed, answer, find_profile
from busyd.flow.blocks import ManualBlocks
from busyd.flow.changes import Changes
from busyd.flow.collections import Collections
from busyd.flow.freshness import freshness_of
from busyd.flow.holds import Holds
from busyd.flow.link_views import LinkView, view_link
from busyd.flow.poll_now import PollNow, poll_all
from busyd.flow.properties import GivenProperties
from busyd.flow.reload import ReloadOutcome, ReloadRequests
from busyd.flow.requests import OutboxRequests
from busyd.flow.sharing import SharingView
from busyd.flow.tokens import Tokens
from busyd.flow.uncounted import UncountedCalendars
from busyd.flow.unsettled import UnsettledAppointments
from busyd.flow.views import (
    ConnectionView,
    ProblemView,
    ProfileView,
    view_connection,
    view_problems,
    view_profile,
)
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.progress import Report
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.store.change_log import ChangeLog
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread

if TYPE_CHECKING:
    from busyd.flow.appointments import Appointments
    from busyd.flow.book import Booker
    from busyd.flow.explain import Explained
    from busyd.flow.webhooks import Webhooks
    from busyd.flow.writing import ObjectWriter
    from busyd.flow.written_blocks import WrittenBlocks


class _Seen(Struct, frozen=True):
    """A view, and what it was made from."""

    view: ProfileView
    profile_state: ProfileState
    version: int
    state_revision: int


class Backend:
    """The daemon as seen from outside. Made by the service."""

    def __init__(
        self, state: State, writer: IndexWriter, *, ledger: LedgerThread, clock: Clock, changes: ChangeLog
    ) -> None:
        self.clock = clock
        self.tokens = Tokens(ledger)
        self.reloads = ReloadRequests()
        self.changes = Changes(changes, state, store=writer.store)
        self.collections = Collections(writer)
        self.properties = GivenProperties(ledger)
        self.accepted_problems = AcceptedProblems(writer, ledger)
        self.requests = OutboxRequests(writer, ledger)
        self.blocks = ManualBlocks(self.requests)
        self.holds = Holds(self.requests, self, clock=clock)
        self.unsettled = UnsettledAppointments(state, clock=clock)
        self.uncounted = UncountedCalendars(writer)
        self.schedules: Mapping[str, PollNow] = {}
        """By connection; empty until polling has begun."""
        self.webhooks: Webhooks | None = None
        self.sharing: SharingView | None = None
        """None where this daemon has the stores to itself."""
        self.storage = state.storage
        self._state = state
        self._writer = writer
        self._seen: dict[str, _Seen] = {}
        self._revision = 0

    @cached_property
    def booker(self) -> "Booker":
        """What carries appointments on. Composing them needs more than a start has time for."""
        from busyd.flow.book import Booker

        return Booker(self.requests, self._writer, answers=self, clock=self.clock)

    @cached_property
    def written_blocks(self) -> "WrittenBlocks":
        from busyd.flow.written_blocks import WrittenBlocks

        return WrittenBlocks(self.requests, self._writer, booker=self.booker)

    @cached_property
    def appointments(self) -> "Appointments":
        from busyd.flow.appointments import Appointments

        return Appointments(self.requests, self._writer, booker=self.booker, answers=self, clock=self.clock)

    @cached_property
    def object_writer(self) -> "ObjectWriter":
        """Writes what calendar apps send. Loaded when it is first needed, as it brings lxml."""
        from busyd.flow.writing import ObjectWriter

        return ObjectWriter(self._writer, lambda: self.schedules)

    @property
    def refused_configuration(self) -> str:
        """Why the last reload changed nothing; empty when it was applied."""
        return self._state.refused_configuration

    @property
    def is_connected(self) -> bool:
        """Whether there is any connection at all."""
        return bool(self._state.connections)

    def profile(self, name: str) -> ProfileView | None:
        """A profile as it is now; None when it is not configured. The same value for as long as nothing changes."""
        profile_state = self._state.profiles.get(name)
        return self._view(profile_state) if profile_state is not None else None

    def addresses_of(self, name: str) -> list[str]:
        """Who a profile is in its calendars: mail addresses, sorted; none for a profile that is not configured."""
        profile_state = self._state.profiles.get(name)
        if profile_state is None:
            return []
        connections = {link.reference.connection for link in profile_state.links}
        known = (self._state.addresses_for(profile_state, connection) for connection in connections)
        return sorted(address for address in frozenset().union(*known) if "@" in address)

    def links(self, name: str) -> list[LinkView]:
        """How each calendar counts for a profile, in the order of the configuration."""
        return [view_link(link) for link in self._state.profiles[name].links]

    async def profiles(self, connection: str | None = None) -> list[ProfileView]:
        """All profiles, in the order of the configuration; or those that use a connection, by name."""
        state = self._state
        names = state.profiles if connection is None else sorted(state.links.profiles_naming(connection))
        found = [state.profiles[name] for name in names if name in state.profiles]
        return await in_slices(apply(self._view, found))

    async def connections(self, profile: str | None = None) -> list[ConnectionView]:
        """All connections with their calendars, in the order of the configuration; or those that a profile uses."""
        state = self._state
        wanted = [
            connection_state
            for name, connection_state in state.connections.items()
            if profile is None or profile in state.links.profiles_naming(name)
        ]
        return await in_slices(apply(partial(view_connection, state), wanted))

    def problems(self) -> list[ProblemView]:
        """What is wrong with single events, in the order of their calendars."""
        return view_problems(self._state)

    async def all_problems(self) -> list[ProblemView]:
        """The same, and the UIDs that several objects of one calendar have. Raises StorageError."""
        return view_problems(self._state, shared=await self._writer.store.shared_uids())

    async def freebusy(self, profile: str, window: Period, *, max_age: int | None = None) -> FreeBusyAnswer:
        """When is this person busy? From memory; a window beyond the horizon is expanded.

        `max_age`: seconds since the last confirmation; the remotes are asked when it is longer ago, and staleness is
        judged by it. Raises UnknownProfile, NotConfirmed, StorageError.
        """
        profile_state, asked = find_profile(self._state, profile), self._now()
        if max_age is not None:
            await self._confirm(profile_state, max_age)
            longest = max_age + self._since(asked)
            profile_state = find_profile(self._state, profile)  # a reload may have made it another one
            freshness = freshness_of(self._state, profile_state, now=self._now(), max_age=longest)
        else:
            freshness = self._view(profile_state).freshness
        # Judged before any expansion: a later confirmation says nothing about what is read now.
        snapshot = profile_state.snapshot
        if snapshot is not None and not snapshot.covers(window):
            snapshot = await self._expand(profile_state, window)
        unplaced = self._view(profile_state).unplaced
        return answer(profile, snapshot, freshness=freshness, window=window, unplaced=unplaced)

    async def explain(self, profile: str, window: Period) -> "list[Explained]":
        """Why? Every event that touches the window, also those that do not block. Raises UnknownProfile."""
        from busyd.flow.explain import explain_window

        return await explain_window(self._writer, find_profile(self._state, profile), window=window)

    def told_from(self, profile: str) -> object:
        """What `explain` says follows from this: while it is equal, so are the events. Raises UnknownProfile."""
        from busyd.flow.explain import told_from

        return told_from(self._state, find_profile(self._state, profile))

    async def refresh(self, profile: str, max_age: timedelta) -> bool:
        """Have the profile's calendars confirmed at most so long ago, by one poll of the connections that need it.

        False when that could not be had. Raises UnknownProfile.
        """
        asked, longest = self._now(), max_age.total_seconds()
        for _ in range(3):  # a poll that was under way may already have passed the calendar, or a reload has ended it
            needed = self._not_younger(find_profile(self._state, profile), longest + self._since(asked))
            needed |= {name for name in self._named_by(profile) if not self._state.connection_state(name).listed}
            if not needed:
                break
            asking = {name: self.schedules[name] for name in needed & self.schedules.keys()}
            for name in asking:
                connection = self._state.connection_state(name)
                now, wanted = self.clock.now(), connection.wanted
                limit = Instant(now + 1 - int(longest))  # of what is dated with the second before, nobody knows
                connection.wanted = limit if wanted is None or wanted > now + 1 else max(limit, wanted)
            await asyncio.gather(*(schedule.check_now() for schedule in asking.values()))
            if any(name not in asking or self.schedules.get(name) is not asking[name] for name in needed):
                await self.reloads.at_rest()  # then those that it has changed are polled
        longest += self._since(asked)
        profile_state = find_profile(self._state, profile)
        freshness = freshness_of(self._state, profile_state, now=self._now(), max_age=longest)
        return freshness.known and not freshness.stale

    async def sync_now(self, report: Report) -> list[str]:
        """Poll every connection now, none of them after another one; the names of those that failed."""
        await self.reloads.at_rest()  # at a start there is nothing yet that could be polled
        failed = await poll_all(self.schedules, connections=self._state.connections, report=report)
        self.uncounted.ask()
        return failed

    async def reload(self) -> ReloadOutcome:
        """Read the configuration again; what came of it. Raises StorageError."""
        return await self.reloads.outcome()

    async def alive(self) -> None:
        """Returns once the store's thread has answered, if only that it cannot read: the watchdog asks."""
        with suppress(StorageError):
            await self._writer.store.ping()

    def _view(self, profile_state: ProfileState) -> ProfileView:
        name, state, now = profile_state.profile.name, self._state, self._now()
        seen = self._seen.get(name)
        is_same = seen is not None and seen.profile_state is profile_state and seen.version == profile_state.version
        is_current = seen is not None and is_same and seen.state_revision == profile_state.revision
        if seen is not None and is_current and seen.view.freshness.holds_at(now):
            return seen.view
        self._revision += 1
        view = view_profile(
            state,
            profile_state,
            freshness=freshness_of(state, profile_state, now=now),
            revision=self._revision,
            snapshot_version=seen.view.snapshot_version if seen is not None and is_same else self._revision,
        )
        self._seen[name] = _Seen(view, profile_state, profile_state.version, profile_state.revision)
        return view

    async def _confirm(self, profile_state: ProfileState, max_age: int) -> None:
        name = profile_state.profile.name
        freshness = freshness_of(self._state, profile_state, now=self._now(), max_age=max_age)
        if freshness.known and not freshness.stale:
            return
        if not await self.refresh(name, timedelta(seconds=max_age)):
            message = f"the calendars of {name} could not be confirmed within the last {max_age} seconds"
            raise NotConfirmed(message)

    def _not_younger(self, profile_state: ProfileState, seconds: float) -> set[str]:
        """The connections with a calendar of the profile whose last proof is older than that, or unknown."""
        records = ((link, self._state.calendars.get(link.calendar or 0)) for link in profile_state.links if link.blocks)
        ages = ((link, self._state.proofs.age_of(record, self._now()) if record else None) for link, record in records)
        return {link.reference.connection for link, age in ages if age is None or age > seconds}

    def _named_by(self, profile: str) -> set[str]:
        """The connections that a profile names, also those that it has only named since the last reload."""
        return {name for name in self.schedules if profile in self._state.links.profiles_naming(name)}

    def _since(self, asked: Now) -> float:
        """Seconds since a question was asked: a proof may be older by so much now than was wanted then."""
        return self.clock.monotonic() - asked.monotonic

    def _now(self) -> Now:
        return Now(self.clock.now(), self.clock.monotonic())

    async def _expand(self, profile_state: ProfileState, window: Period) -> Snapshot:
        from busyd.index.rolling import expand_window

        return await expand_window(self._writer, profile_state, window=window)
