"""Time beyond the horizon: moving the horizon on day by day, and answering for windows it does not cover."""

from array import array
from collections.abc import Generator, Sequence

from msgspec.structs import replace

from busyd.availability.columns import FactsTable
from busyd.availability.index import PackedObject
from busyd.availability.snapshot import Reading, Snapshot, build_snapshot, nothing_known
from busyd.flow.expansion import entry_of
from busyd.flow.horizon import horizon_at
from busyd.flow.mirroring import Mirroring
from busyd.flow.register import ProfileState
from busyd.flow.slices import in_slices
from busyd.ical.facts import Facts
from busyd.period import Instant, Period
from busyd.store import occurrences
from busyd.store.occurrences import IndexEntry

Payloads = Sequence[tuple[int, bytes]]


async def roll_horizon(mirroring: Mirroring, now: Instant) -> bool:
    """Move the horizon when a day has passed: only recurring objects, and only the new piece of time."""
    new = horizon_at(now)
    if new == mirroring.span:
        return False
    async with mirroring.changing:
        table = FactsTable()  # what no occurrence states any more is left behind
        for (calendar, zone), columns in list(mirroring.register.columns.items()):
            grown = await _extended(mirroring, calendar, zone, new) if columns.recurring else {}
            moved = await in_slices(columns.changed(grown))
            mirroring.register.columns[calendar, zone] = await in_slices(moved.with_table(table))
        mirroring.register.table = table
        mirroring.span = new
    await mirroring.catch_up()
    return True


async def expand_window(mirroring: Mirroring, state: ProfileState, window: Period) -> Snapshot:
    """A snapshot of a window beyond the horizon, by the same engine: costs the recurring objects of the mirror."""
    links = state.links
    readings = mirroring.register.readings(state, links)
    if readings is None:
        # Asked right after a start: the stored snapshot covers the horizon, the rest is still on the disk.
        await mirroring.complete_columns()
        links = state.links
        readings = mirroring.register.readings(state, links)
    if readings is None:
        return nothing_known(window)
    wide: list[Reading] = []
    blocking = [link for link in links if link.calendar is not None and link.blocks]
    for link, reading in zip(blocking, readings, strict=True):
        payloads = await _recurring(mirroring, link.calendar or 0, link.zone)
        changes = await _expand_in(mirroring, payloads, link.zone, window)
        wide.append(replace(reading, columns=await in_slices(reading.columns.changed(changes))))
    return await in_slices(build_snapshot(wide, window))


async def _recurring(mirroring: Mirroring, calendar: int, zone: str) -> Payloads:
    return await mirroring.database.read(lambda db: occurrences.recurring_payloads(db, calendar, zone))


async def _expand_in(mirroring: Mirroring, payloads: Payloads, zone: str, window: Period) -> dict[int, IndexEntry]:
    found = await mirroring.expansion.index((payload for _, payload in payloads), zone, window)
    numbered = zip(payloads, found, strict=True)
    return {number: entry_of(number, zone, window, indexed) for (number, _), indexed in numbered}


async def _extended(mirroring: Mirroring, calendar: int, zone: str, new: Period) -> dict[int, IndexEntry]:
    """The entries of recurring objects over the new horizon, each from what it has and the piece that it lacks."""
    payloads = dict(await _recurring(mirroring, calendar, zone))
    known = await mirroring.database.read(lambda db: occurrences.read_recurring(db, calendar, zone))
    by_piece: dict[Period, list[IndexEntry]] = {}
    for entry in known:
        by_piece.setdefault(_lacking(entry.span, new), []).append(entry)
    grown: dict[int, IndexEntry] = {}
    for piece, entries in by_piece.items():
        found = await mirroring.expansion.index((payloads[entry.object] for entry in entries), zone, piece)
        grown |= await in_slices(_join_each(entries, found, piece, new))
    for number, entry in grown.items():
        if entry.postponed:
            mirroring.note_postponed(calendar, number, [entry])
    await mirroring.database.write(lambda db: occurrences.put_entries(db, grown.values()))
    return grown


def _lacking(old: Period, new: Period) -> Period:
    """The piece of time to expand so that `old` becomes `new`; all of it where the two do not follow each other."""
    follows = old.start <= new.start < old.end < new.end
    return Period(old.end, new.end) if follows else new


def _join_each(
    entries: Sequence[IndexEntry], found: Sequence[PackedObject], piece: Period, new: Period
) -> Generator[None, None, dict[int, IndexEntry]]:
    grown = {}
    for old, indexed in zip(entries, found, strict=True):
        added = entry_of(old.object, old.zone, new, indexed)
        grown[old.object] = added if piece == new or added.postponed else _joined(old, added, new)
        yield
    return grown


def _joined(old: IndexEntry, added: IndexEntry, span: Period) -> IndexEntry:
    """Two expansions of one object as one; what both have counts once, what ended before the span is dropped."""
    facts: dict[Facts, int] = {}
    rows: set[tuple[int, int, int]] = set()
    for entry in (old, added):
        numbers = [facts.setdefault(one, len(facts)) for one in entry.facts]
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
    )
