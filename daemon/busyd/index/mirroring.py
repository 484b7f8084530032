"""Changes of a calendar -> mirror, busy index and snapshots, so that no reader ever sees a new object with old time.

The order is always: commit, tables, snapshot, proof. A proof is shown only once the snapshot holds what it proves.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from busyd.availability.snapshot import Snapshot, build_snapshot, pack, unpack
from busyd.clock import Clock
from busyd.cooperative import in_slices, to_the_end
from busyd.ical.facts import Problem
from busyd.index.loading import is_too_much, load_columns, put_beyond
from busyd.index.placeholders import not_fetched, outdated
from busyd.index.version import index_version
from busyd.period import Period
from busyd.state.horizon import DAY, horizon_at
from busyd.state.state import ObjectProblem, ProfileState, State
from busyd.store.errors import StorageError
from busyd.store.mirror import CalendarRecord, StoredObject, SyncMark
from busyd.store.occurrences import ANY_ZONE, IndexEntry
from busyd.store.store import Store
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.expansion import Expanded, Expansion

logger = logging.getLogger(__name__)

BATCH: Final = 100
"""Objects that are expanded and stored at once, fewer when they are large or have many occurrences."""
Changes = dict[int, list[IndexEntry] | None]
"""Object -> its new entries, one a reading zone; None when the object is gone."""


class Incoming(Struct, frozen=True):
    """An object as fetched, before it is stored."""

    href: str
    etag: str
    payload: bytes


class Mirroring:
    """Writes the mirror, keeps the tables in memory equal to it, and swaps snapshots."""

    def __init__(self, store: Store, state: State, clock: Clock) -> None:
        self.store = store
        self.state = state
        self.clock = clock
        self.span = horizon_at(clock.now())
        self.changing = asyncio.Lock()
        """Held while the stored index and the tables change together."""
        self._building = asyncio.Lock()

    @cached_property
    def expansion(self) -> "Expansion":
        """The engine. Loaded when it is first needed: a start answers without it."""
        from busyd.index.expansion import Expansion

        return Expansion()

    async def close(self) -> None:
        """End what the engine has started."""
        if "expansion" in vars(self):
            await self.expansion.close()

    # Start: answer from what is stored, before any network.

    def restore(self) -> None:
        """Take calendars, addresses and stored snapshots, on the calling thread, before the loop serves."""
        self.store.transaction_now(self._restore)

    async def load(self) -> None:
        """Fill the tables from the stored index, expand what it lacks, and build what could not be restored."""
        version = index_version()
        stored = await self.store.read_meta("index")
        if stored != version:
            if stored is not None:
                logger.info("the index was made by busyd %s, this is %s: expanding everything anew", stored, version)
            async with self.changing:
                await self.store.transaction(_begin_index)
                self.state.tables.clear()
        await self.complete_tables()

    async def complete_tables(self) -> None:
        """Have every linked calendar in memory in every zone it is read in, and a snapshot of every profile."""
        async with self.changing:
            self.state.forget_unlinked()
            for calendar in list(self.state.calendars):
                for zone in self.state.zones_of(calendar):
                    if (calendar, zone) not in self.state.tables:
                        await load_columns(self, calendar, zone)
                        self._tell_postponed(calendar)
        await self.catch_up()
        self.state.forget_unlinked()

    # Change: one batch of objects, or the end of a sync.

    async def store_batch(
        self,
        calendar: CalendarRecord,
        incoming: Sequence[Incoming],
        *,
        gone: Iterable[str] = (),
        unread: Iterable[str] = (),
        mark: SyncMark | None = None,
    ) -> int:
        """Commit objects with their occurrences and, at the end of a sync, where it stands. Returns how many changed.

        `unread` hrefs keep what the mirror has of them, and the next sync tries again.
        """
        end = _End(tuple(gone), tuple(unread), mark)
        changed, rest = 0, list(incoming)
        while True:
            taken, count = await self._store_some(calendar, rest, end)
            changed += count
            rest = rest[taken:]
            if not rest:
                break
        if mark is not None:
            self._tell_postponed(calendar.id)
        return changed

    async def catch_up(self) -> None:
        """Build anew every snapshot that is not of what is known now, swap it in, and keep it for the next start."""
        for profile_state in list(self.state.profiles.values()):
            # One at a time: a snapshot of older tables must not be swapped in after one of newer ones.
            async with self._building:
                async with self.changing:
                    generation = await self.store.generation()
                    links, span = profile_state.next_links, self.span
                    readings = self.state.readings(profile_state, links)
                if readings is None:
                    continue
                known = profile_state.snapshot
                if known is not None and profile_state.restored == self._key(profile_state, generation, span):
                    profile_state.readings, profile_state.restored = (
                        readings,
                        "",
                    )  # it was stored when it was built from these
                if known is None or profile_state.readings != readings or known.span != span:
                    snapshot = await in_slices(build_snapshot(readings, span))
                    if snapshot != known:
                        profile_state.snapshot = snapshot
                        profile_state.version += 1
                    profile_state.readings = readings
                    await self._keep(profile_state, links, generation, span, snapshot)
                if profile_state.links is not links:
                    profile_state.links = links
                    self.state.proofs += 1

    async def confirm(self, records: Sequence[CalendarRecord]) -> None:
        """Show new proofs, once the snapshots hold what they prove."""
        await self.catch_up()
        self.state.confirm(records)

    def zones_of(self, calendar: int) -> set[str]:
        """The zones in which a calendar is expanded."""
        return self.state.zones_of(calendar) or {self.state.machine_zone}

    async def commit(self, calendar: int, work: Callable[[Transaction], Changes]) -> Changes:
        """Write something of a calendar, and have its tables follow. To be called with `changing` held.

        While the calendar is beyond its bound, `work` should write its entries withheld.
        """
        state = self.state
        changes = await self.store.transaction(work)
        for number, entries in changes.items():
            self.note_postponed(calendar, number, entries or ())
        zones = [zone for number, zone in state.tables if number == calendar] if changes else []
        if state.is_beyond(calendar):
            counts = await self.store.count_rows(calendar)
            if not is_too_much(counts.most):
                for zone in zones:
                    await load_columns(self, calendar, zone)
            return changes
        for zone in zones:
            mine = {object_id: _read_in(zone, entries) for object_id, entries in changes.items()}
            state.tables[calendar, zone] = new = await in_slices(state.tables[calendar, zone].changed(mine))
            if is_too_much(new.count):
                put_beyond(self, calendar)
                break
        return changes

    def note_postponed(self, calendar: int, number: int, entries: Iterable[IndexEntry]) -> None:
        """Remember which objects could not be read, and which could."""
        known = self.state.postponed.get(number)
        postponed = next((entry for entry in entries if entry.postponed), None)
        if postponed is None:
            self.state.postponed.discard(number)
        else:
            now = self.clock.monotonic()
            self.state.postponed.add(number, calendar, why=postponed.incomplete, now=now)
        if self.state.postponed.get(number) is not known:
            self.state.proofs += 1  # what answers say of the calendar changes

    # Within.

    async def _store_some(self, calendar: CalendarRecord, incoming: Sequence[Incoming], end: "_End") -> tuple[int, int]:
        """Commit the first of the objects, with the last of them the end. How many, and how many changed."""
        payloads = [one.payload for one in incoming[:BATCH]]
        zones, span = self.zones_of(calendar.id), self.span
        expanded = await self.expansion.expand(payloads, zones, span) if payloads else []
        async with self.changing:
            if (zones, span) != (self.zones_of(calendar.id), self.span):
                # A reload or a new day came in between.
                zones, span = self.zones_of(calendar.id), self.span
                expanded = await self.expansion.expand(payloads, zones, span) if payloads else []
            is_last = len(expanded) == len(incoming)
            batch = _Batch(
                calendar.id,
                list(zip(incoming, expanded, strict=False)),
                end if is_last else _End(),
                span,
                withheld=self.state.is_beyond(calendar.id),
            )
            changes = await to_the_end(self.commit(calendar.id, batch.commit))
        self._note_problems(calendar, changes, batch.hrefs)
        return len(expanded), len(changes)

    def _restore(self, tx: Transaction) -> None:
        state = self.state
        tx.forget_other_accounts([profile_state.connection for profile_state in state.connections.values()])
        tx.forget_snapshots(state.profiles)
        for name, connection in state.connections.items():
            account = tx.read_account(name)
            if account is not None:
                connection.addresses, connection.listed = account.addresses, True
        state.take_calendars(tx.read_calendars())
        if tx.read_meta("index") != index_version():
            return
        generation = tx.generation()
        for profile_state in state.profiles.values():
            stored = tx.read_snapshot(profile_state.profile.name)
            if stored is not None and stored[0] == self._key(profile_state, generation, self.span):
                try:
                    profile_state.snapshot, profile_state.restored = unpack(stored[1]), stored[0]
                    profile_state.version += 1
                except ValueError:
                    logger.warning(
                        "the stored snapshot of profile %s is damaged, building it anew", profile_state.profile.name
                    )

    def _key(self, profile_state: ProfileState, generation: int, span: Period) -> str:
        return self.state.snapshot_key(
            profile_state, generation=generation, day=span.start // DAY, version=index_version()
        )

    async def _keep(
        self, profile_state: ProfileState, links: object, generation: int, span: Period, snapshot: Snapshot
    ) -> None:
        """A snapshot that cannot be kept costs the next start a moment, nothing else."""
        if links is not profile_state.next_links:
            return
        key, body, name = self._key(profile_state, generation, span), pack(snapshot), profile_state.profile.name
        try:
            await self.store.record_snapshot(name, key, body)
        except StorageError as error:
            logger.warning("the snapshot of profile %s was not kept: %s", name, error)

    def _tell_postponed(self, calendar: int) -> None:
        """Once a sync, not once an object."""
        if self.state.postponed.take_untold(calendar):
            logger.warning("%s: %s", self.state.label_of(calendar), self.state.postponed.note(calendar))

    def _note_problems(self, calendar: CalendarRecord, changes: Changes, hrefs: Mapping[int, str]) -> None:
        """Remember what is wrong with the objects, and say it once in the log."""
        for number, entries in changes.items():
            known = {one.problem for one in self.state.problems.pop(number, ())}
            problems = entries[0].problems if entries else ()
            self.remember_problems(calendar.id, number, hrefs.get(number, ""), problems)
            for problem in problems:
                if problem not in known:
                    logger.warning("%s: event %s: %s", calendar.label, problem.uid or hrefs[number], problem.reason)

    def remember_problems(self, calendar: int, number: int, href: str, problems: Sequence[Problem]) -> None:
        if problems:
            self.state.problems[number] = tuple(ObjectProblem(calendar, href, problem) for problem in problems)


class _End(Struct, frozen=True):
    """What is written together with the last of the objects."""

    gone: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    mark: SyncMark | None = None


class _Batch(Struct, frozen=True):
    """What one transaction writes."""

    calendar: int
    objects: "list[tuple[Incoming, Expanded]]"
    end: _End
    span: Period
    withheld: bool
    hrefs: dict[int, str] = field(default_factory=dict)
    """Those of the objects it changed, once it is committed."""

    def commit(self, tx: Transaction) -> Changes:
        """Write everything; the changes for the tables."""
        changes: Changes = {}
        hrefs = self.hrefs
        for one, result in self.objects:
            number = tx.put_object(self.calendar, StoredObject(one.href, one.etag, result.uid, one.payload))
            changes[number], hrefs[number] = result.entries(number, self.span), one.href
        changes |= dict.fromkeys(tx.forget_objects(self.calendar, self.end.gone))
        for number, href in tx.mark_unread(self.calendar, self.end.unread).items():
            changes[number], hrefs[number] = [not_fetched(number, self.span)], href
        for number, href in tx.objects_with_payload(self.calendar, self.end.unread).items():
            known = outdated(tx.entries_of(number)) or [not_fetched(number, self.span)]
            changes[number], hrefs[number] = known, href
        there = {number: entries for number, entries in changes.items() if entries is not None}
        tx.replace_entries(there, withheld=self.withheld)
        if self.end.mark is not None:
            tx.record_sync(self.calendar, self.end.mark)
        if changes:
            tx.advance_generation()
        return changes


def _read_in(zone: str, entries: list[IndexEntry] | None) -> IndexEntry | None:
    return next((entry for entry in entries or () if entry.zone in (ANY_ZONE, zone)), None)


def _begin_index(tx: Transaction) -> None:
    tx.forget_entries()
    tx.record_meta("index", index_version())
    tx.advance_generation()
