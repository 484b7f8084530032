"""Time beyond the horizon: moving the horizon on day by day, and answering for windows it does not cover."""

from array import array
from collections.abc import AsyncIterator, Mapping

from msgspec.structs import replace

from busyd.availability.building import Reading, build_snapshot
from busyd.availability.index import PackedObject
from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.snapshot import Snapshot, nothing_known
from busyd.cooperative import in_slices, let_others_run
from busyd.ical.facts import Facts
from busyd.index.acceptance import as_counted
from busyd.index.expansion import entry_of
from busyd.index.loading import BEYOND, is_too_much, load_tables
from busyd.index.placeholders import as_mirrored
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.state.horizon import horizon_at
from busyd.state.links import Link
from busyd.state.profile_state import ProfileState
from busyd.state.readings import readings_of
from busyd.store.occurrences import IndexEntry


async def roll_horizon(writer: IndexWriter, now: Instant) -> bool:
    """Move the horizon when a day has passed: only recurring objects, and only the new piece of time."""
    new = horizon_at(now)
    if new == writer.horizon:
        return False
    state = writer.state
    async with writer.publisher.changing:
        table = FactsTable()  # what no occurrence states any more is left behind
        beyond: list[tuple[int, str]] = []
        held = [
            (calendar, zone, tables)
            for calendar in state.tables.calendars
            for zone, tables in state.tables.of(calendar).items()
        ]
        is_kept = await writer.store.keeps_index()
        for calendar, zone, tables in held:
            if tables.recurring and not is_kept:
                beyond.append((calendar, zone))  # what is stored is another daemon's reading
                continue
            moved = await _extended(writer, calendar, zone=zone, new=new, tables=tables) if tables.recurring else tables
            if is_too_much(moved.count) or moved.is_beyond:
                beyond.append((calendar, zone))
            else:
                state.put_table(calendar, zone, table=await in_slices(moved.with_table(table)))
        state.table = table
        writer.publisher.move_horizon(new)
        for calendar, zone in beyond:  # those with too much may have less now
            await load_tables(writer, calendar, zone=zone)
    await writer.publisher.publish_snapshots()
    return True


async def expand_window(writer: IndexWriter, profile_state: ProfileState, *, window: Period) -> Snapshot:
    """A snapshot of a window beyond the horizon, by the same engine: costs the recurring objects of the mirror."""
    links = profile_state.links
    readings = readings_of(writer.state, profile_state, links=links)
    if readings is None:
        # Asked right after a start: the stored snapshot covers the horizon, the rest is still on the disk.
        await writer.complete_tables()
        links = profile_state.links
        readings = readings_of(writer.state, profile_state, links=links)
    if readings is None:
        return nothing_known(window)
    wide: list[Reading] = []
    blocking = [link for link in links if link.calendar is not None and link.blocks]
    for link, reading in zip(blocking, readings, strict=False):
        tables = await _seen_through(writer, reading.tables, calendar=link.calendar or 0, zone=link.zone, window=window)
        wide.append(replace(reading, tables=tables))
    own = readings[len(blocking) :]  # busyd's own rows do not recur
    return await in_slices(build_snapshot([*wide, *own], window))


async def expand_calendar(writer: IndexWriter, profile_state: ProfileState, *, link: Link, window: Period) -> Snapshot:
    """A snapshot of one calendar alone, with what busyd itself has put there, by the rules that it has in the profile.

    That it does not count for the profile makes no difference. Nothing is known of one that is not there.
    """
    state, calendar = writer.state, link.calendar or 0
    tables = state.tables.get(calendar, link.zone)
    if tables is None:
        await writer.complete_tables()
        tables = state.tables.get(calendar, link.zone)
    if tables is None:
        return nothing_known(window)
    if not (writer.horizon.start <= window.start and window.end <= writer.horizon.end):
        tables = await _seen_through(writer, tables, calendar=calendar, zone=link.zone, window=window)
    me = state.addresses_for(profile_state, link.reference.connection)
    own = state.own.in_calendar(replace(link, blocks=True), facts=state.table)
    return await in_slices(build_snapshot([Reading(tables, link.rules, me, calendar), own], window))


async def _seen_through(
    writer: IndexWriter, tables: OccurrenceTable, *, calendar: int, zone: str, window: Period
) -> OccurrenceTable:
    """The tables with the recurring objects as they are in a window."""
    if tables.is_beyond:
        return tables
    async for part in _dependent(writer, calendar, zone=zone):
        indexed = writer.expansion.index([payload for _, payload, _ in part], zone, span=window)
        changes: dict[int, IndexEntry] = {}
        for number, _, etag in part:
            seen = entry_of(number, zone, span=window, indexed=await anext(indexed))
            (changes[number],) = as_mirrored(number, [seen], etag=etag, span=window)
        tables = await in_slices(tables.changed(_counted(writer, changes)))
        if is_too_much(tables.count):
            return OccurrenceTable.beyond(tables.table, BEYOND)
    return tables


async def _dependent(writer: IndexWriter, calendar: int, *, zone: str) -> AsyncIterator[list[tuple[int, bytes, str]]]:
    """Objects that may say something else of another span, with their payloads and ETags, some at a time: those that
    recur, or all of them where no index is kept that tells which do."""
    if await writer.store.keeps_index():
        async for part in _recurring(writer, calendar, zone=zone):
            yield [(entry.object, payload, etag) for entry, payload, etag in part]
        return
    after = 0
    while found := await writer.store.objects_to_expand(calendar, zone, span=writer.horizon, after=after):
        after = found[-1][0]
        yield [(number, payload, etag) for number, payload, etag, _ in found if payload]


async def _recurring(
    writer: IndexWriter, calendar: int, *, zone: str
) -> AsyncIterator[list[tuple[IndexEntry, bytes, str]]]:
    """The recurring objects of a calendar with their payloads and ETags, some at a time."""
    after = 0
    while part := await writer.store.read_recurring(calendar, zone, after=after):
        yield part
        after = part[-1][0].object


async def _extended(
    writer: IndexWriter, calendar: int, *, zone: str, new: Period, tables: OccurrenceTable
) -> OccurrenceTable:
    """The tables with recurring objects over the new horizon, each from what it has and the piece that it lacks."""
    async for part in _recurring(writer, calendar, zone=zone):
        by_piece: dict[Period, list[tuple[IndexEntry, bytes, str]]] = {}
        for known in part:
            by_piece.setdefault(_lacking(known[0].span, new), []).append(known)
        grown: dict[int, IndexEntry] = {}
        for piece, members in by_piece.items():
            indexed = writer.expansion.index([payload for _, payload, _ in members], zone, span=piece)
            for old, _, etag in members:
                whole = _join(old, await anext(indexed), piece=piece, new=new)
                (entry,) = as_mirrored(old.object, [whole], etag=etag, span=new)
                grown[old.object] = entry
                if entry.postponed:
                    writer.note_postponed(calendar, old.object, entries=[entry])
                await let_others_run()
        versions = {known.object: (payload, etag) for known, payload, etag in part}
        there = await writer.store.put_entries(grown.values(), of=versions)
        grown = {number: entry for number, entry in grown.items() if number in there}
        tables = await in_slices(tables.changed(_counted(writer, grown)))
    return tables


def _counted(writer: IndexWriter, entries: Mapping[int, IndexEntry]) -> dict[int, IndexEntry]:
    return {number: as_counted(writer.state, entry) for number, entry in entries.items()}


def _lacking(old: Period, new: Period) -> Period:
    """The piece of time to expand so that `old` becomes `new`; all of it where the two do not follow each other."""
    follows = old.start <= new.start < old.end < new.end
    return Period(old.end, new.end) if follows else new


def _join(old: IndexEntry, indexed: PackedObject, *, piece: Period, new: Period) -> IndexEntry:
    added = entry_of(old.object, old.zone, span=new, indexed=indexed)
    return added if piece == new or added.postponed else _joined(old, added, span=new)


def _joined(old: IndexEntry, added: IndexEntry, *, span: Period) -> IndexEntry:
    """Two expansions of one object as one; what both have counts once, what ended before the span is dropped."""
    facts: dict[Facts, int] = {}
    rows: set[tuple[int, int, int]] = set()
    for entry in (old, added):
        numbers = [facts.setdefault(fact, len(facts)) for fact in entry.facts]
        flat = entry.occurrences
        rows |= {
            (start, end, numbers[number])
            for start, end, number in zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
            if end > span.start - entry.facts[number].travel_after
        }
    return replace(
        added,
        recurring=True,
        occurrences=array("q", [value for row in sorted(rows) for value in row]),
        facts=tuple(facts),
        problems=tuple(dict.fromkeys((*old.problems, *added.problems))),
        incomplete=old.incomplete or added.incomplete,
        incomplete_since=min(
            (entry.incomplete_since for entry in (old, added) if entry.incomplete), default=added.incomplete_since
        ),
    )
