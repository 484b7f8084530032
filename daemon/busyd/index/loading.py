"""A calendar's stored index -> its tables in memory, some objects at a time, after expanding what the index lacks."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from busyd.availability.occurrence_table import OccurrenceTable
from busyd.cooperative import in_slices
from busyd.ical.limits import MAX_CALENDAR_OCCURRENCES
from busyd.index.acceptance import as_counted
from busyd.index.placeholders import as_mirrored
from busyd.state.problems import ObjectProblem, version_of
from busyd.store.mirror import GHOST_ETAG, UNREAD_ETAG
from busyd.store.occurrences import ANY_ZONE, IndexEntry
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.writer import IndexWriter

logger = logging.getLogger(__name__)

BEYOND: Final = (
    f"it has more than {MAX_CALENDAR_OCCURRENCES:,} occurrences within the time that busyd keeps, too many to hold, so "
    "all of its time counts as unavailable; take series that repeat every few minutes or hours out of it, or take it "
    "out of the profile"
)


_Read = tuple[str, str, IndexEntry]
"""Href, ETag, and what is known of the object."""


def is_too_much(rows: int) -> bool:
    """Whether a calendar has more occurrences than it may have."""
    return rows > MAX_CALENDAR_OCCURRENCES


async def load_tables(writer: "IndexWriter", calendar: int, *, zone: str) -> None:
    """Have the calendar in memory as it is read in this zone. To be called with `changing` held."""
    state, store = writer.state, writer.store
    was_beyond = state.is_beyond(calendar)
    while True:
        is_kept = await store.keeps_index()
        unkept = await _expand_lacking(writer, calendar, zone=zone, is_kept=is_kept)
        counts = await store.count_rows(calendar)
        rows = counts.most if is_kept else sum(len(entry.occurrences) // 3 for _, _, entry in unkept)
        if is_too_much(rows):
            state.put_table(calendar, zone, table=OccurrenceTable(state.table))
            generation = await store.generation_of(calendar)
            state.tables.note_generation(calendar, (zone,), generation=generation)
            put_beyond(writer, calendar, told=was_beyond)
            return
        if is_kept and counts.withheld:
            await store.forget_withheld(calendar)
            continue
        # First: what another daemon writes meanwhile must not be taken for what the table holds.
        generation = await store.generation_of(calendar)
        tables = OccurrenceTable(state.table)
        await _add(writer, unkept, calendar=calendar, tables=tables)
        after = 0
        while is_kept and (part := await store.read_entries(calendar, zone, after=after)):
            await _add(writer, part, calendar=calendar, tables=tables)
            after = part[-1][2].object
        if is_kept is await store.keeps_index():
            break
    state.put_table(calendar, zone, table=tables)
    state.tables.note_generation(calendar, (zone,), generation=generation)


async def _add(writer: "IndexWriter", read: Sequence[_Read], *, calendar: int, tables: OccurrenceTable) -> None:
    """Take what was read into the tables, and note what is wrong with it."""
    state, postponed = writer.state, [entry for _, _, entry in read if entry.postponed]
    known = [one for one in read if not one[2].postponed]
    record, doubts = state.calendars.get(calendar), None
    for href, etag, entry in known:
        if entry.problems:
            if doubts is None and record is not None and etag in (UNREAD_ETAG, GHOST_ETAG):
                # Those in memory may be older than what is read.
                records = await writer.store.read_calendars(record.connection)
                doubts = next((one.doubts for one in records if one.id == calendar), {})
            connection = record.connection if record is not None else ""
            version = href, version_of(connection, href, etag=etag, doubts=doubts or {})
            state.problems.note(entry.object, problems_of(calendar, [entry], version=version))
    await in_slices(tables.add(postponed))
    await in_slices(tables.add(as_counted(state, entry) for _, _, entry in known))


async def count_anew(writer: "IndexWriter", numbers: Iterable[int]) -> None:
    """Have tables and snapshots follow what is accepted, or no longer is, of some objects. Raises StorageError."""
    state = writer.state
    async with writer.publisher.changing:
        for number in numbers:
            noted = state.problems.get(number)
            if noted is None or state.is_beyond(noted[0].calendar):
                continue
            calendar = noted[0].calendar
            if not await writer.store.keeps_index():
                for zone in list(state.tables.of(calendar)):
                    await load_tables(writer, calendar, zone=zone)
                continue
            entries = await writer.store.entries_of(number)
            for zone, table in list(state.tables.of(calendar).items()):
                mine = [entry for entry in entries if entry.zone in (ANY_ZONE, zone)]
                if mine:
                    changed = table.changed({number: as_counted(state, mine[0])})
                    state.put_table(calendar, zone, table=await in_slices(changed))
    await writer.publisher.publish_snapshots()
    state.publish()


def problems_of(calendar: int, entries: Sequence[IndexEntry], *, version: tuple[str, str]) -> tuple[ObjectProblem, ...]:
    """What is wrong with an object, by its entries; `version` is its href and its `version_of`."""
    href, name = version
    doubtful = any(entry.is_doubtful for entry in entries)
    problems = entries[0].problems if entries else ()
    return tuple([ObjectProblem(calendar, href, problem, name, doubtful) for problem in problems])


def put_beyond(writer: "IndexWriter", calendar: int, *, told: bool = False) -> None:
    """Let go of a calendar's occurrences, in every zone: there are too many."""
    state = writer.state
    for zone in list(state.tables.of(calendar)):
        state.put_table(calendar, zone, table=OccurrenceTable.beyond(state.table, BEYOND))
    state.publish_calendar(calendar)
    if not told:
        logger.warning("%s: %s", state.label_of(calendar), BEYOND)


async def _expand_lacking(writer: "IndexWriter", calendar: int, *, zone: str, is_kept: bool) -> list[_Read]:
    """Expand what the index lacks, and store it if that `is_kept`. What was not stored, as it could not be read or is
    not kept."""
    store, span = writer.store, writer.horizon
    unkept: list[_Read] = []
    counts = await store.count_rows(calendar)
    rows, after, is_outrun = counts.read_in(zone) if is_kept else 0, 0, False
    while lacking := await store.objects_to_expand(calendar, zone, span=span, after=after):
        expanded = await writer.expansion.expand([payload for _, payload, _, _ in lacking], [zone], span=span)
        new: list[_Read] = []
        for (number, payload, etag, href), read in zip(lacking, expanded, strict=False):
            entries = read.entries(number, span) if payload else []
            writer.note_postponed(calendar, number, entries=entries)
            new += [(href, etag, entry) for entry in as_mirrored(number, entries, etag=etag, span=span)]
            after = number
        unkept += [one for one in new if one[2].postponed or not is_kept]
        rows += sum(len(entry.occurrences) // 3 for _, _, entry in new)
        withheld = is_too_much(rows)
        if not is_kept:
            if withheld:
                break
            continue
        versions = {number: (payload, etag) for number, payload, etag, _ in lacking}
        entries = [entry for _, _, entry in new]
        put = partial(put_expanded, calendar=calendar, entries=entries, of=versions, withheld=withheld)
        is_outrun |= not await store.transaction(put)
    return await _expand_lacking(writer, calendar, zone=zone, is_kept=is_kept) if is_outrun else unkept


def put_expanded(
    tx: Transaction,
    calendar: int,
    *,
    entries: Sequence[IndexEntry],
    of: Mapping[int, tuple[bytes, str]],
    withheld: bool,
) -> bool:
    """Put what was read in objects with these payloads and ETags; False where another daemon has replaced one."""
    there = tx.still_there({entry.object: of[entry.object] for entry in entries})
    kept = [entry for entry in entries if entry.object in there]
    tx.put_entries(kept, withheld=withheld)
    if any(not entry.postponed for entry in kept):
        tx.advance_generation(calendar)
    return len(kept) == len(entries)
