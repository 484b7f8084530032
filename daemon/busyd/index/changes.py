"""Snapshots and rows -> entries of the log: what has become busy, free or uncertain, how far appointments are.

The one place where a difference of busy time is computed. What was told last is kept with the entries, so that a start
finds what a kill has left untold, and tells it once. An entry follows the commit and the snapshot that it tells of.
"""

import asyncio
import logging
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from busyd.availability.difference import Change, Known, find_changes
from busyd.availability.snapshot import Snapshot, pack
from busyd.clock import Clock
from busyd.cooperative import in_slices, to_the_end
from busyd.index.origins import DeletedObject, OriginFinder
from busyd.index.told_snapshots import SnapshotStep, as_answered, is_unread, unpacked
from busyd.period import FbType, Instant, Period, to_rfc3339
from busyd.state.own_rows import OWN
from busyd.state.state import State
from busyd.state.told_appointment import told_appointment
from busyd.store.bookings import Booking, BookingKind
from busyd.store.change_log import ChangeLog
from busyd.store.changes import (
    ChangeCause,
    ChangeEvent,
    ChangeOrigin,
    ConnectionChanged,
    NewEntry,
    ProfileReset,
    SpanChanged,
    ToldAppointment,
    ToldState,
)
from busyd.store.errors import StorageError
from busyd.store.store import Store

logger = logging.getLogger(__name__)

MOST_SPANS: Final = 500
"""Spans that are told of one profile at once; where more have changed, a `reset` says so."""
_AT_ONCE: Final = 50
"""Profiles whose changes are written in one transaction."""


class ChangeRecorder:
    """Tells the log what has changed, whenever somebody says that it is time to."""

    def __init__(self, log: ChangeLog, state: State, *, clock: Clock, store: Store) -> None:
        self._log, self._state, self._clock = log, state, clock
        self.origins = OriginFinder(state, store)
        self._told: dict[str, Snapshot] = {}
        """What the log tells of each profile, of those of which that was read."""
        self._failing: set[str] | None = None
        """The connections of which a failure was told; None until that was read."""
        self._untold: dict[str, SnapshotStep | None] = dict.fromkeys(state.profiles)
        """The profiles of which there may be something to tell, with how it came about as far as that is known."""
        self._hours: dict[str, str] = {}
        """The working hours of each profile as they were noted last."""
        self._told_rows: dict[str, ToldAppointment] = {}
        """The appointments that are not over as they were told last, of those that changed since the start."""
        self._untold_rows: list[ToldAppointment] = []
        """Appointments that are to be told, in the order of their commits."""
        self._is_recording = True
        """Another daemon may do that instead, and tell the same changes."""
        self._telling = asyncio.Lock()
        self._is_late = False
        """The last try to write the log has failed."""
        self._last: tuple[Snapshot, Snapshot, list[Change]] | None = None
        """The last difference that was looked for: profiles that share snapshots have the same."""

    async def pause(self) -> None:
        """Tell nothing from now on: another daemon does. Returns once nothing is being written."""
        self._is_recording = False
        async with self._telling:
            self._untold_rows.clear()
            self._told_rows.clear()
            self._untold.clear()
            self._told.clear()
            self.origins.forget(None, connections=())

    async def resume(self, rows: Iterable[Booking]) -> None:
        """Tell what changes from now on, and what nobody has told meanwhile, as after a start.

        `rows`: those of the outbox of which something may still come.
        """
        async with self._telling:
            self._told.clear()
            self._failing = None
            self._hours.clear()
            self._untold = dict.fromkeys(self._state.profiles)
            self._is_recording = True
        await self.take_as_told(rows)
        self.note_rows(rows)
        await self.tell(connections=tuple(self._state.connections))

    def note(self, profiles: Iterable[str], step: SnapshotStep | None = None) -> None:
        """Something may have changed for these profiles; it is told when `tell` is called."""
        for name in profiles if self._is_recording else ():
            earlier = self._untold.get(name)
            if earlier is not None:
                self._untold[name] = earlier.followed_by(step) if step is not None else replace(earlier, touched=None)
            else:
                self._untold[name] = step

    def note_deleted(self, calendar: int, objects: Mapping[int, DeletedObject]) -> None:
        """Remember what the mirror is about to forget, for the change that it explains."""
        if self._is_recording:
            self.origins.note_deleted(calendar, objects)

    def note_rows(self, rows: Iterable[Booking]) -> None:
        """The same of rows of the outbox that were committed, or of which it is known now that they are refused."""
        if not self._is_recording:
            return
        rows = tuple(rows)
        self.origins.note_rows(rows)
        for row in rows:
            if row.kind is BookingKind.APPOINTMENT:
                told = told_appointment(row, is_refused=row.id in self._state.refused_writes)
                if self._told_rows.get(row.id) != told:
                    self._untold_rows.append(told)
                    self._told_rows[row.id] = told
                if not row.blocks:
                    self._told_rows.pop(row.id, None)

    async def take_as_told(self, rows: Iterable[Booking]) -> None:
        """Take appointments as told if nothing is known of what was, since the log is a new one."""
        if self._log.is_new:
            told = [told_appointment(row, is_refused=False) for row in rows if row.kind is BookingKind.APPOINTMENT]
            try:
                await self._log.append((), ToldState(appointments=told, is_silent=True), now=self._clock.now())
            except StorageError as error:
                self._state.storage.note(error, now=self._clock.now())
                logger.error("the appointments could not be noted in the log of changes, and are told anew: %s", error)

    async def tell(
        self,
        profiles: Collection[str] | None = None,
        *,
        connections: Collection[str] = (),
        otherwise: ChangeCause = ChangeCause.CONFIGURATION,
    ) -> None:
        """Write what has changed for these profiles, or for all, and how these connections fare.

        `otherwise` is the cause of what no calendar has changed. What cannot be written now is told the next time.
        """
        async with self._telling:
            if not self._is_recording:
                return
            try:
                if profiles is None:
                    await self._note_hours()
                await self._tell_of_connections(connections)
                names = [name for name in self._untold if profiles is None or name in profiles]
                for first in range(0, len(names), _AT_ONCE):
                    await self._tell_of_profiles(names[first : first + _AT_ONCE], otherwise=otherwise)
                if self._untold_rows:
                    await to_the_end(self._write((), {}))
                self.origins.forget(profiles, connections=connections)
            except StorageError as error:
                self._state.storage.note(error, now=self._clock.now())
                level = logging.DEBUG if self._is_late else logging.ERROR
                logger.log(level, "changes could not be written to their log; busyd tries again by itself: %s", error)
                self._is_late = True
            else:
                self._is_late = False
            finally:
                self._last = None

    async def _tell_of_connections(self, names: Iterable[str]) -> None:
        if self._failing is None:
            state = self._state
            self._failing = await self._log.keep_told(profiles=state.profiles, connections=state.connections)
        for name in names:
            connection_state = self._state.connections.get(name)
            if connection_state is None or bool(connection_state.trouble) == (name in self._failing):
                continue
            if not connection_state.trouble and connection_state.last_poll is None:
                continue  # it was not asked since the start
            told = (
                (ToldState(failing=(name,)), "failed")
                if connection_state.trouble
                else (ToldState(recovered=(name,)), "ok")
            )
            now = self._clock.now()
            body = ConnectionChanged(to_rfc3339(now), name, told[1], connection_state.trouble)
            change = NewEntry.of(ChangeEvent.CONNECTION, self._state.links.profiles_naming(name), told=body)
            await to_the_end(self._tell_of_connection(name, change, told=told[0], now=now))

    async def _tell_of_connection(self, name: str, change: NewEntry, *, told: ToldState, now: Instant) -> None:
        """Write it, and remember that it is written: both or neither."""
        await self._log.append([change], told, now=now)
        self._failing = (self._failing or set()) ^ {name}

    async def _note_hours(self) -> None:
        """They make no time busy, and decide what is offered: they are kept beside what is told."""
        profiles = [state.profile for state in self._state.profiles.values()]
        hours = {one.name: msgspec.json.encode((one.timezone, one.hours)).decode() for one in profiles}
        if hours != self._hours:
            await self._log.note_hours(hours, now=self._clock.now())
            self._hours = hours

    async def _tell_of_profiles(self, names: Sequence[str], *, otherwise: ChangeCause) -> None:
        unread = [name for name in names if name not in self._told]
        stored = await self._log.read_told(unread) if unread else {}
        changes: list[NewEntry] = []
        told: dict[str, Snapshot] = {}
        steps: dict[str, SnapshotStep | None] = {}
        try:
            for name in names:
                profile_state = self._state.profiles.get(name)
                steps[name] = step = self._untold.pop(name, None)
                if profile_state is None or profile_state.snapshot is None:
                    continue  # it is noted again when it has one
                now, before = as_answered(self._state, profile_state), self._told.get(name)
                cause = otherwise
                if before is None and name in stored:
                    before, cause = unpacked(stored[name]), ChangeCause.RESTART
                    if before is None:
                        changes.append(self._reset(name, cause))
                if before is not None and before != now:
                    changes += await self._changes(name, before, now=now, step=step, cause=cause)
                if before is None or before is not now:
                    told[name] = now
            await to_the_end(self._write(changes, told))
        except BaseException:
            for name, step in steps.items():
                later = self._untold.get(name)
                self._untold[name] = step if later is None else step.followed_by(later) if step is not None else None
            raise

    async def _write(self, changes: Sequence[NewEntry], told: dict[str, Snapshot]) -> None:
        """Write what differs from what was told, and remember it: both or neither."""
        other = {name: snapshot for name, snapshot in told.items() if self._told.get(name) != snapshot}
        rows = tuple(self._untold_rows)
        if changes or other or rows:
            snapshots = [(name, pack(snapshot)) for name, snapshot in other.items()]
            await self._log.append(changes, ToldState(snapshots, appointments=rows), now=self._clock.now())
            del self._untold_rows[: len(rows)]
        self._told |= told

    async def _changes(
        self, name: str, before: Snapshot, *, now: Snapshot, step: SnapshotStep | None, cause: ChangeCause
    ) -> list[NewEntry]:
        touched = step.touched if step is not None and step.before is before and step.now is now else None
        if self._last is None or self._last[0] is not before or self._last[1] is not now:
            self._last = before, now, await in_slices(find_changes(before, now, touched=touched))
        found = self._last[2]
        if is_unread(before) != is_unread(now):
            cause = ChangeCause.READING
        elif touched is not None:
            cause = ChangeCause.CALENDAR
        if len(found) > MOST_SPANS:
            return [self._reset(name, cause)]
        origins: Sequence[ChangeOrigin | None] = [None] * len(found)
        if found and step is not None and step.sources is not None and step.before is before and step.now is now:
            origins = await self.origins.find(found, step.sources)
        return await in_slices(self._bodies(name, zip(found, origins, strict=True), cause=cause))

    def _bodies(
        self, name: str, found: Iterable[tuple[Change, ChangeOrigin | None]], *, cause: ChangeCause
    ) -> Generator[None, None, list[NewEntry]]:
        changes = []
        for one, origin in found:
            is_free = one.now.fbtype is FbType.FREE and not one.now.uncertain
            by_own = bool(one.calendars) and set(one.calendars) == {OWN}
            body = SpanChanged(
                at=to_rfc3339(self._clock.now()),
                profile=name,
                start=to_rfc3339(one.start),
                end=to_rfc3339(one.end),
                type=_type_of(one.now),
                before=_type_of(one.before),
                uncertain=one.now.uncertain,
                cause=ChangeCause.OWN if by_own else cause,
                calendars=tuple(self._state.label_of(number) for number in one.calendars if number != OWN),
            )
            event, span = ChangeEvent.FREE if is_free else ChangeEvent.BUSY, Period(one.start, one.end)
            changes.append(NewEntry.of(event, (name,), told=body, span=span, origin=origin))
            yield
        return changes

    def _reset(self, name: str, cause: ChangeCause) -> NewEntry:
        body = ProfileReset(to_rfc3339(self._clock.now()), name, cause)
        return NewEntry.of(ChangeEvent.RESET, (name,), told=body)


def _type_of(known: Known) -> str:
    """The free/busy type; what may not be free is not called free."""
    if known.uncertain and known.fbtype is FbType.FREE:
        return FbType.BUSY_UNAVAILABLE.text
    return known.fbtype.text
