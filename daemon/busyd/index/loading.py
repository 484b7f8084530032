"""A calendar's stored index -> its tables in memory, some objects at a time, after expanding what the index lacks."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from busyd.availability.occurrence_table import OccurrenceTable
from busyd.cooperative import in_slices
from busyd.ical.limits import MAX_CALENDAR_OCCURRENCES
from busyd.index.acceptance import counted
from busyd.index.placeholders import as_mirrored
from busyd.state.problems import ObjectProblem, version_of
from busyd.state.state import State
from busyd.store.occurrences import IndexEntry
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.writer import IndexWriter

logger = logging.getLogger(__name__)

BEYOND: Final = (
    f"it has more than {MAX_CALENDAR_OCCURRENCES:,} occurrences within the time that busyd keeps, too many to hold, so "
    "all of its time counts as unavailable; take series that repeat every few minutes or hours out of it, or take it "
    "out of the profile"
)


def is_too_much(rows: int) -> bool:
    """Whether a calendar has more occurrences than it may have."""
    return rows > MAX_CALENDAR_OCCURRENCES


async def load_tables(writer: "IndexWriter", calendar: int, *, zone: str) -> None:
    """Have the calendar in memory as it is read in this zone. To be called with `changing` held."""
    state, store = writer.state, writer.store
    was_beyond = state.is_beyond(calendar)
    while True:
        postponed = await _expand_lacking(writer, calendar, zone=zone)
        counts = await store.count_rows(calendar)
        if is_too_much(counts.most):
            state.put_table(calendar, zone, table=OccurrenceTable(state.table))
            state.tables.generations[calendar] = await store.generation_of(calendar)
            put_beyond(writer, calendar, told=was_beyond)
            return
        if not counts.withheld:
            break
        await store.forget_withheld(calendar)
    tables, after = OccurrenceTable(state.table), 0
    await in_slices(tables.add(postponed))
    while part := await store.read_entries(calendar, zone, after=after):
        for href, etag, entry in part:
            if entry.problems:
                version = href, _version(state, calendar, href=href, etag=etag)
                state.problems.note(entry.object, problems_of(calendar, [entry], version=version))
        await in_slices(tables.add(counted(state, (entry for _, _, entry in part))))
        after = part[-1][2].object
    state.put_table(calendar, zone, table=tables)
    state.tables.generations[calendar] = await store.generation_of(calendar)


def problems_of(calendar: int, entries: Sequence[IndexEntry], *, version: tuple[str, str]) -> tuple[ObjectProblem, ...]:
    """What is wrong with an object, by its entries; `version` is its href and its `version_of`."""
    href, name = version
    doubtful = any(entry.is_doubtful for entry in entries)
    problems = entries[0].problems if entries else ()
    return tuple([ObjectProblem(calendar, href, problem, name, doubtful) for problem in problems])


def _version(state: State, calendar: int, *, href: str, etag: str) -> str:
    record = state.calendars.get(calendar)
    if record is None:
        return etag
    return version_of(record.connection, href, etag=etag, doubts=record.doubts)


def put_beyond(writer: "IndexWriter", calendar: int, *, told: bool = False) -> None:
    """Let go of a calendar's occurrences, in every zone: there are too many."""
    state = writer.state
    for zone in list(state.tables.of(calendar)):
        state.put_table(calendar, zone, table=OccurrenceTable.beyond(state.table, BEYOND))
    state.publish_calendar(calendar)
    if not told:
        logger.warning("%s: %s", state.label_of(calendar), BEYOND)


async def _expand_lacking(writer: "IndexWriter", calendar: int, *, zone: str) -> list[IndexEntry]:
    """Expand and store what the index lacks. The entries of what could not be read, which are not stored."""
    store, span = writer.store, writer.horizon
    postponed: list[IndexEntry] = []
    counts = await store.count_rows(calendar)
    rows, after = counts.read_in(zone), 0
    while lacking := await store.objects_to_expand(calendar, zone, span=span, after=after):
        expanded = await writer.expansion.expand([payload for _, payload, _ in lacking], [zone], span=span)
        new: list[IndexEntry] = []
        for (number, payload, etag), read in zip(lacking, expanded, strict=False):
            entries = read.entries(number, span) if payload else []
            writer.note_postponed(calendar, number, entries=entries)
            new += as_mirrored(number, entries, etag=etag, span=span)
            after = number
        postponed += [entry for entry in new if entry.postponed]
        rows += sum(len(entry.occurrences) // 3 for entry in new)
        withheld = is_too_much(rows)
        await store.transaction(partial(_put, calendar=calendar, entries=new, withheld=withheld))
    return postponed


def _put(tx: Transaction, *, calendar: int, entries: Sequence[IndexEntry], withheld: bool) -> None:
    tx.put_entries(entries, withheld=withheld)
    if any(not entry.postponed for entry in entries):
        tx.advance_generation(calendar)
