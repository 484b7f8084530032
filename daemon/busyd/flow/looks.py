"""The looks of a booking: every calendar that counts confirmed anew, and whether somebody else has the time."""

import asyncio
from collections.abc import Mapping, Sequence
from math import inf
from typing import Final, Protocol

from busyd.availability.overlap import objects_near
from busyd.booking.carrying import Client, ProvenLook
from busyd.clock import Clock, Now
from busyd.connection import FEEDS
from busyd.cooperative import in_slices
from busyd.flow.freshness import CalendarFreshness, CalendarHealth, freshness_of
from busyd.flow.membership import NotProven, offer_of, why_not
from busyd.flow.occupancy import is_overlapped, others_busy
from busyd.flow.overrides import lifted
from busyd.flow.views import ProfileView
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.state.links import Link, calendar_keys
from busyd.state.profile_state import ProfileState
from busyd.store.bookings import Booking, BookingKind, BookingState, calendar_key
from busyd.store.mirror import CalendarRecord

PROVE_WITHIN: Final = 5.0
"""Seconds within which every calendar that counts must be confirmed."""
_RELOADED_WITHIN: Final = 600
"""Seconds within which every daemon has read a changed configuration."""


class WriteContext(Protocol):
    """What writes need of the context of a connection."""

    @property
    def client(self) -> Client: ...

    def note_write(self, calendar: int, href: str, *, etag: str) -> None: ...


class WrittenConnection(Protocol):
    """What is asked of the schedule of a connection."""

    @property
    def context(self) -> WriteContext: ...

    @property
    def is_refused(self) -> bool: ...

    async def look(self, *, is_awaited: bool = True) -> bool: ...


class AnswerSource(Protocol):
    """What is asked of `Backend`."""

    @property
    def schedules(self) -> Mapping[str, WrittenConnection]: ...

    def profile(self, name: str) -> ProfileView | None: ...


class Looks:
    """Looks around for one row of the outbox."""

    def __init__(self, writer: IndexWriter, answers: AnswerSource, *, clock: Clock) -> None:
        self._writer = writer
        self._answers = answers
        self._clock = clock

    async def prove(self, row: Booking) -> ProvenLook:
        """Have every calendar that counts confirmed from now on, then look. Raises NotProven.

        Before a row is written its time must be one that `/slots` offers; afterwards nobody else may be in it. A block
        says that time is busy, and takes it from nobody.
        """
        if row.kind is BookingKind.BLOCK:
            return ProvenLook(False, {})
        profile_state = self._profile_state(row)
        self._require_counted(row, profile_state)
        since = Now(self._clock.now(), self._clock.monotonic())
        await self._confirm(profile_state)
        proof = self._proof(profile_state, since)
        if row.forced:
            return ProvenLook(False, proof)
        if row.state is BookingState.PENDING and row.kind is BookingKind.APPOINTMENT:
            return ProvenLook(await self._is_not_offered(row, profile_state), proof)
        return ProvenLook(await self._is_taken(row), proof)

    async def look_again(self, row: Booking) -> None:
        """Have every calendar that counts asked once more, by polls that leave nothing to others. Raises NotProven."""
        await self._confirm(self._profile_state(row), is_awaited=False)

    async def _is_taken(self, row: Booking) -> bool:
        """Whether there is, or may be, an event of somebody else in the span of a row. Raises NotProven."""
        if row.forced or row.kind is BookingKind.BLOCK:
            return False
        spans = await others_busy(
            self._writer,
            self._profile_state(row),
            window=row.span,
            uids=self._own_names(row),
            rows=None,
        )
        return bool(spans)

    async def is_overlapped(self, row: Booking) -> bool:
        """Whether an event of somebody else is known to be in the span of what is booked.

        What may be at any time, and a calendar that cannot be read, are told as what they are: they leave nothing free,
        and are no reason to have a person settle with anybody.
        """
        if row.forced or row.kind is BookingKind.BLOCK:
            return False
        profile_state = self._profile_state(row)
        return await is_overlapped(self._writer, profile_state, window=row.span, uids=self._own_names(row))

    async def may_be_taken(self, profile: str, rows: Sequence[Booking]) -> list[Booking]:
        """Those of the rows, whose own events are where they should be, in whose span there may be something else.

        One pass over the calendars, however many rows there are.
        """
        profile_state, state = self._writer.state.profiles.get(profile), self._writer.state
        if profile_state is None:
            return []
        rows = sorted(rows, key=lambda row: row.span)
        spans = [(int(row.span.start), int(row.span.end)) for row in rows]
        near = [0] * len(rows)
        for link in profile_state.links:
            table = state.tables.get(link.calendar, link.zone) if link.calendar is not None and link.blocks else None
            if table is None:
                continue
            found = await in_slices(objects_near(table, spans))
            own = calendar_key(link.reference.connection, link.href)
            for at, (row, numbers) in enumerate(zip(rows, found, strict=True)):
                near[at] += len(numbers) + len(table.incomplete) - (row.calendar == own)
        return [row for row, count in zip(rows, near, strict=True) if count > 0]

    async def _is_not_offered(self, row: Booking, profile_state: ProfileState) -> bool:
        view = self._answers.profile(row.profile)
        if view is None:
            raise _unconfigured(row)
        its = {row.id, row.hold} - {""}  # the hold is used up when the row is committed, which may be under way
        offer = lifted(offer_of(view, row.span.end - row.span.start, now=row.created, ignored=its), row.overrides)
        window = offer.shape.reach(row.span)
        busy = await others_busy(self._writer, profile_state, window=window, uids=self._own_names(row), rows=its)
        return why_not(offer, row.span, busy=busy) is not None

    def _require_counted(self, row: Booking, profile_state: ProfileState) -> None:
        """Raises NotProven while calendars count where a row was accepted and not here.

        So it is while one of several daemons has read a changed configuration and another has not. What is still not
        written after some minutes goes by what is configured here.
        """
        if row.state is not BookingState.PENDING or self._clock.now() - row.created > _RELOADED_WITHIN:
            return
        lacking = set(row.counts) - {row.calendar} - calendar_keys(profile_state.links)
        if lacking:
            named = ", ".join(sorted(key.partition(" ")[0] for key in lacking))
            message = f"calendars of {named} count for {row.profile} by a configuration that this daemon has not read"
            raise NotProven(message)

    def _own_names(self, row: Booking) -> set[str]:
        """The UIDs that are the row's own in its calendars: of itself, of its claim, of the row that it claims for."""
        own = self._writer.state.own.of(row.profile)
        family = {row.id, row.parent} - {""}
        return {row.uid, *(one.uid for one in own if one.id in family or one.parent in family)}

    def _profile_state(self, row: Booking) -> ProfileState:
        profile_state = self._writer.state.profiles.get(row.profile)
        if profile_state is None:
            raise _unconfigured(row)
        return profile_state

    async def _confirm(self, profile_state: ProfileState, *, is_awaited: bool = True) -> None:
        """One poll of each connection with a calendar that counts. Raises NotProven while one is not read at all."""
        names = {link.reference.connection for link in profile_state.links if self._is_asked(link)}
        schedules = self._answers.schedules
        if missing := sorted(names - schedules.keys()):
            message = f"these connections are not read yet: {', '.join(missing)}"
            raise NotProven(message)
        looking = {
            name: asyncio.create_task(schedules[name].look(is_awaited=is_awaited), name=f"look at {name}")
            for name in sorted(names)
        }
        if looking:
            await asyncio.wait(looking.values(), timeout=PROVE_WITHIN)
        for look in looking.values():
            if look.done():
                look.result()  # what is still under way goes on, for others

    def _is_asked(self, link: Link) -> bool:
        """Whether a calendar is asked at its own server: a feed counts while it is inside its own `max_age`."""
        record = self._record(link)
        return record is None or record.remote.kind not in FEEDS

    def _record(self, link: Link) -> CalendarRecord | None:
        return self._writer.state.calendars.get(link.calendar) if link.calendar is not None else None

    def _proof(self, profile_state: ProfileState, since: Now) -> Mapping[str, Instant]:
        """When each calendar that counts was confirmed. Raises NotProven unless all were since then."""
        now = Now(self._clock.now(), self._clock.monotonic())
        freshness = freshness_of(self._writer.state, profile_state, now=now)
        links = [link for link in profile_state.links if link.blocks]
        judged = list(zip(links, freshness.calendars, strict=True))
        unproven = [known.calendar for link, known in judged if not self._is_proven(link, known, since=since)]
        if unproven:
            message = f"these calendars could not be confirmed: {', '.join(unproven)}"
            raise NotProven(message)
        return {known.calendar: known.as_of for _, known in judged if known.as_of is not None}

    def _is_proven(self, link: Link, known: CalendarFreshness, *, since: Now) -> bool:
        record = self._record(link)
        if record is None or known.as_of is None:
            return False
        if record.remote.kind in FEEDS:
            return known.state is CalendarHealth.FRESH
        connection = self._writer.state.connection_state(record.connection)
        # In whole seconds a proof from just before looks like one from now; one from the future is older than the
        # clock, which has been set back.
        is_new = connection.proved.get(record.id, -inf) >= since.monotonic
        is_dated = since.wall <= known.as_of <= self._clock.now()
        return is_new and is_dated and record.id not in connection.calendar_trouble


def _unconfigured(row: Booking) -> NotProven:
    return NotProven(f"the profile {row.profile} is not configured any more")
