"""Changes of a calendar -> mirror, busy index and tables, so that no reader ever sees a new object with old time.

The order is always: commit, tables, snapshot, proof. The first two are here, the others in `publisher.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from busyd.clock import Clock
from busyd.cooperative import in_slices, to_the_end
from busyd.ical.facts import HARMLESS
from busyd.ical.reduction import reduce_object
from busyd.index.acceptance import as_counted
from busyd.index.batch import BatchEnd, CalendarBatch, Changes, Incoming, Version
from busyd.index.loading import is_too_much, load_tables, problems_of, put_beyond
from busyd.index.publisher import SnapshotPublisher
from busyd.period import Period
from busyd.state.privacy import reduced_to
from busyd.state.state import State
from busyd.store.mirror import CalendarRecord, SyncMark
from busyd.store.occurrences import ANY_ZONE, IndexEntry
from busyd.store.store import Store
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.expansion import Expansion

logger = logging.getLogger(__name__)

BATCH: Final = 100
"""Objects that are expanded and stored at once, fewer when they are large or have many occurrences."""


class IndexWriter:
    """Writes the mirror and its index, and keeps the tables in memory equal to them."""

    def __init__(self, store: Store, state: State, *, clock: Clock, publisher: SnapshotPublisher) -> None:
        self.store = store
        self.state = state
        self.clock = clock
        self.publisher = publisher

    def as_stored(self, connection: str, payload: bytes) -> bytes:
        """What is stored of an object that came like this."""
        own = reduced_to(self.state, connection)
        return payload if own is None else reduce_object(payload, own)

    @property
    def horizon(self) -> Period:
        """The span of time that is kept expanded."""
        return self.publisher.horizon

    @cached_property
    def expansion(self) -> "Expansion":
        """The engine. Loaded when it is first needed: a start answers without it."""
        from busyd.index.expansion import Expansion

        return Expansion(self.state)

    async def close(self) -> None:
        """End what the engine has started."""
        if "expansion" in vars(self):
            await self.expansion.close()

    async def complete_tables(self, connection: str = "") -> None:
        """Have every linked calendar in memory in every zone it is read in, and a snapshot of every profile.

        `connection`: only in what profiles make of this one something has changed.
        """
        beside = self.state.calendars_beside(connection) if connection else None
        async with self.publisher.changing:
            self.state.forget_unlinked(beside)
            for calendar in list(self.state.calendars) if beside is None else beside & self.state.calendars.keys():
                for zone in self.state.zones_of(calendar):
                    if self.state.tables.get(calendar, zone) is None:
                        await load_tables(self, calendar, zone=zone)
                        self.tell_postponed(calendar)
        await self.publisher.publish_snapshots((connection,) if connection else None)
        self.state.forget_unlinked(beside)

    async def store_batch(
        self,
        calendar: CalendarRecord,
        incoming: Sequence[Incoming],
        *,
        gone: Iterable[str] = (),
        unread: Iterable[str] = (),
        ghosts: Iterable[str] = (),
        spelled: Mapping[str, str] | None = None,
        mark: SyncMark | None = None,
    ) -> int:
        """Commit objects with their occurrences and, at the end of a sync, where it stands. Returns how many changed.

        `unread` hrefs keep what the mirror has of them, or what `incoming` brings, which is not all there is to know;
        so do `ghosts`, which are no longer waited for. `spelled`: how the server writes hrefs, where not canonically.
        """
        end = BatchEnd(tuple(gone), tuple(unread), tuple(ghosts), spelled or {}, mark)
        changed, rest = 0, list(incoming)
        while True:
            taken, count = await self._store_some(calendar, rest, end=end)
            changed += count
            rest = rest[taken:]
            if not rest:
                break
        if mark is not None:
            self.tell_postponed(calendar.id)
        return changed

    def zones_of(self, calendar: int) -> Set[str]:
        """The zones in which a calendar is expanded."""
        return self.state.zones_of(calendar) or {self.state.machine_zone}

    async def commit(
        self, calendar: int, work: Callable[[Transaction], Changes], *, versions: Mapping[int, Version]
    ) -> Changes:
        """Write something of a calendar, and have its tables follow. To be called with `changing` held.

        `versions` are those of the objects that `work` has changed, once it is done. While the calendar is beyond its
        bound, `work` should write its entries withheld.
        """
        changes, generation = await self.store.transaction(lambda tx: (work(tx), tx.generation_of(calendar)))
        await self.take_changes(calendar, changes, versions=versions, generation=generation)
        return changes

    async def take_changes(
        self, calendar: int, changes: Changes, *, versions: Mapping[int, Version], generation: int
    ) -> None:
        """Have the tables follow what was written of a calendar. To be called with `changing` held.

        `generation` is that of its index since then.
        """
        state = self.state
        for number, entries in changes.items():
            self.note_postponed(calendar, number, entries=entries or ())
        self._note_problems(calendar, changes, versions=versions)
        tables = dict(state.tables.of(calendar)) if changes else {}
        if state.is_beyond(calendar):
            counts = await self.store.count_rows(calendar)
            if not is_too_much(counts.most):
                for zone in tables:
                    await load_tables(self, calendar, zone=zone)
            return
        for zone, table in tables.items():
            mine = {object_id: self._read_in(zone, entries) for object_id, entries in changes.items()}
            new = await in_slices(table.changed(mine))
            state.put_table(calendar, zone, table=new)
            if is_too_much(new.count):
                put_beyond(self, calendar)
                break
        if tables:
            state.tables.note_generation(calendar, tables, generation=generation)

    def note_postponed(self, calendar: int, number: int, *, entries: Iterable[IndexEntry]) -> None:
        """Remember which objects could not be read, and which could."""
        known = self.state.postponed.get(number)
        postponed = [entry for entry in entries if entry.postponed]
        if postponed:
            now = self.clock.monotonic()
            self.state.postponed.add(number, calendar, why=postponed[0].incomplete, now=now)
        elif known is not None:
            self.state.postponed.discard(number)
        else:
            return
        self.state.publish_calendar(calendar)

    async def _store_some(
        self, calendar: CalendarRecord, incoming: Sequence[Incoming], *, end: BatchEnd
    ) -> tuple[int, int]:
        """Commit the first of the objects, with the last of them the end. How many, and how many changed."""
        kept = reduced_to(self.state, calendar.connection)
        some = await _reduced(incoming[:BATCH], kept)
        payloads = [fetched.payload for fetched in some]
        zones, horizon, own = self.zones_of(calendar.id), self.horizon, self.state.own_zones
        expanded = await self.expansion.expand(payloads, zones, span=horizon) if payloads else []
        async with self.publisher.changing:
            now_kept = reduced_to(self.state, calendar.connection)
            now = (self.zones_of(calendar.id), self.horizon, self.state.own_zones, now_kept)
            if (zones, horizon, own, kept) != now:
                # A reload or a new day came in between.
                zones, horizon = self.zones_of(calendar.id), self.horizon
                some = await _reduced(incoming[:BATCH], now_kept)
                payloads = [fetched.payload for fetched in some]
                expanded = await self.expansion.expand(payloads, zones, span=horizon) if payloads else []
            is_last = len(expanded) == len(incoming)
            batch = CalendarBatch(
                calendar.id,
                calendar.connection,
                list(zip(some, expanded, strict=False)),
                end if is_last else BatchEnd(),
                horizon,
                withheld=self.state.is_beyond(calendar.id),
                at=self.clock.now(),
            )
            changes = await to_the_end(self.commit(calendar.id, batch.commit, versions=batch.versions))
            self.publisher.note_deleted(calendar, batch.deleted)
        return len(expanded), len(changes)

    def tell_postponed(self, calendar: int) -> None:
        """Log what could not be read: once a sync, not once an object."""
        if self.state.postponed.take_untold(calendar):
            logger.warning("%s: %s", self.state.label_of(calendar), self.state.postponed.note(calendar))

    def _note_problems(self, calendar: int, changes: Changes, *, versions: Mapping[int, Version]) -> None:
        """Remember what is wrong with the objects, and say it once in the log."""
        state = self.state
        for number, entries in changes.items():
            if number not in state.problems and not (entries and entries[0].problems):
                continue
            known = {noted.problem for noted in state.problems.get(number, ())}
            noted = problems_of(calendar, entries or (), version=versions.get(number, ("", "")))
            state.problems.note(number, noted)
            for one in noted:
                if one.problem not in known:
                    level = logging.INFO if one.problem.kind in HARMLESS else logging.WARNING
                    uid = one.problem.uid or one.href
                    logger.log(level, "%s: event %s: %s", state.label_of(calendar), uid, one.problem.reason)

    def _read_in(self, zone: str, entries: list[IndexEntry] | None) -> IndexEntry | None:
        """What counts of an object for those who read in a zone."""
        for entry in entries or ():
            if entry.zone in (ANY_ZONE, zone):
                return as_counted(self.state, entry)
        return None


async def _reduced(incoming: Sequence[Incoming], own: Set[str] | None) -> Sequence[Incoming]:
    """The objects as they are stored: whole, or where `own` is given, reduced (see `ical/reduction.py`)."""
    if own is None or not incoming:
        return incoming
    return await asyncio.to_thread(lambda: [replace(one, payload=reduce_object(one.payload, own)) for one in incoming])
