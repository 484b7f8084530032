"""A snapshot made from the one before equals one built anew, and says where it may differ."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from busyd.availability.building import Reading, build_snapshot
from busyd.availability.cells import CELL_BITS, CELLS, EVERYWHERE, cells_of, stretches_of
from busyd.availability.difference import Change, Known, find_changes
from busyd.availability.index import index_object, pack_object
from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.policy import Rules
from busyd.availability.snapshot import Snapshot
from busyd.availability.splicing import Built, Rebuilt, Touched, rebuild_snapshot
from busyd.ical.facts import Facts
from busyd.index.expansion import entry_of
from busyd.period import FbType, Instant, Period, coalesce
from busyd.store.occurrences import IndexEntry
from tests.availability.test_snapshot import run

DAY = 86_400
HORIZON = Period(Instant(20_000 * DAY), Instant(20_552 * DAY))
FACTS = (
    Facts(),
    Facts(status="TENTATIVE"),
    Facts(transp="TRANSPARENT"),
    Facts(all_day=True),
    Facts(travel_before=1800, travel_after=900),
    Facts(travel_before=3 * DAY),
    Facts(unknown="a line that cannot be read"),
    Facts(fbtype=FbType.BUSY_UNAVAILABLE),
)
ME = frozenset({"mailto:anna@example.com"})
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kathmandu")
RULES = st.builds(
    Rules,
    all_day=st.sampled_from(["as-marked", "busy", "free"]),
    tentative=st.sampled_from(["tentative", "busy", "free"]),
    travel_time=st.booleans(),
)
STARTS = st.one_of(
    st.integers(HORIZON.start - 10 * DAY, HORIZON.end + 10 * DAY),
    st.integers(20_000, 20_552).map(lambda day: day * DAY),
    st.sampled_from([HORIZON.start, HORIZON.end, HORIZON.start - 776 * DAY]),
)
LENGTHS = st.one_of(st.integers(0, 4 * 3600), st.just(DAY), st.integers(0, 900 * DAY))
ROWS = st.lists(st.tuples(STARTS, LENGTHS, st.integers(0, len(FACTS) - 1)), max_size=6)
INCOMPLETE = st.sampled_from(["", "", "", "", "its start cannot be read"])
ENTRIES = st.dictionaries(st.integers(1, 40), st.none() | st.tuples(ROWS, INCOMPLETE), max_size=12)
Rows = Sequence[tuple[int, int, int]]
Entries = dict[int, tuple[Rows, str] | None]


def entry(number: int, rows: Rows, incomplete: str = "") -> IndexEntry:
    flat = array("q", [value for start, length, facts in rows for value in (start, start + length, facts)])
    facts = FACTS[: max((number for _, _, number in rows), default=0) + 1]
    return IndexEntry(number, "", HORIZON, False, flat, facts, incomplete=incomplete)


def changed(tables: OccurrenceTable, changes: Entries) -> OccurrenceTable:
    return run(tables.changed({n: entry(n, *new) if new is not None else None for n, new in changes.items()}))


def filler(table: FactsTable, count: int) -> OccurrenceTable:
    """A calendar with so many short events, so that it has chunks that a change does not touch."""
    rows = {
        1000 + number: ([(HORIZON.start + number * 7919 * 13 % (552 * DAY), 1800, number % 2)], "")
        for number in range(count)
    }
    return changed(OccurrenceTable(table), dict(rows))


def rebuilt(before: Built, readings: Sequence[Reading]) -> Rebuilt:
    return run(rebuild_snapshot(before, readings, span=HORIZON))


def anew(readings: Sequence[Reading]) -> Snapshot:
    return run(build_snapshot(readings, HORIZON))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(RULES, min_size=1, max_size=3),
    st.integers(0, 1500),
    st.lists(st.tuples(st.integers(0, 2), ENTRIES), min_size=1, max_size=6),
)
def test_any_row_of_changes_ends_in_what_is_built_anew(
    rules: list[Rules], count: int, rounds: list[tuple[int, Entries]]
) -> None:
    table = FactsTable()
    readings = [Reading(filler(table, count), one, ME, number) for number, one in enumerate(rules)]
    built = Built(anew(readings), tuple(readings))
    for which, changes in rounds:
        number = which % len(readings)
        old = readings[number]
        readings[number] = Reading(changed(old.tables, changes), old.rules, old.me, old.calendar)
        made = rebuilt(built, readings)
        assert made.snapshot == anew(readings)
        assert_differs_only_where_touched(built.snapshot, made)
        built = Built(made.snapshot, tuple(readings))


def assert_differs_only_where_touched(before: Snapshot, made: Rebuilt) -> None:
    assert made.touched is not None
    told = run(find_changes(before, made.snapshot, touched=made.touched))
    everywhere = run(find_changes(before, made.snapshot, touched=None))
    assert joined(told) == joined(everywhere)


def joined(changes: Sequence[Change]) -> list[tuple[int, int, Known, Known]]:
    """The changes without their causes, so that those of two causes may be one."""
    parts: list[tuple[int, int, Known, Known]] = []
    for one in changes:
        if parts and parts[-1][1:] == (one.start, one.before, one.now):
            parts[-1] = (parts[-1][0], one.end, one.before, one.now)
        else:
            parts.append((one.start, one.end, one.before, one.now))
    return parts


STAMPS = st.integers(0, 540).map(lambda day: datetime(2024, 10, 10, 9, 30, tzinfo=UTC) + timedelta(days=day))
RECURRENCES = st.sampled_from(
    ["", "RRULE:FREQ=WEEKLY;COUNT=9\r\n", "RRULE:FREQ=DAILY;INTERVAL=3\r\n", "RRULE:FREQ=MONTHLY\r\n"]
)
TIMES = st.sampled_from(
    [
        "DTSTART:{:%Y%m%dT%H%M%S}",
        "DTSTART:{:%Y%m%dT%H%M%SZ}",
        "DTSTART;TZID=America/New_York:{:%Y%m%dT%H%M%S}",
        "DTSTART;VALUE=DATE:{:%Y%m%d}",
        "DTSTART;TZID=X/Y:{:%Y%m%d}",
    ]
)
EVENTS = st.dictionaries(
    st.integers(1, 6), st.none() | st.tuples(TIMES, STAMPS, RECURRENCES, st.booleans()), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.lists(EVENTS, min_size=1, max_size=4))
def test_changed_events_read_in_a_zone_end_in_what_is_built_anew(
    zone: str, rounds: list[dict[int, tuple[str, datetime, str, bool] | None]]
) -> None:
    table = FactsTable()
    readings = [Reading(filler(table, 600), Rules(), ME, 1)]
    built = Built(anew(readings), tuple(readings))
    for events in rounds:
        changes = {number: event and event_entry(number, zone, event) for number, event in events.items()}
        readings = [Reading(run(readings[0].tables.changed(changes)), Rules(), ME, 1)]
        made = rebuilt(built, readings)
        assert made.snapshot == anew(readings)
        assert_differs_only_where_touched(built.snapshot, made)
        built = Built(made.snapshot, tuple(readings))


def event_entry(number: int, zone: str, event: tuple[str, datetime, str, bool]) -> IndexEntry:
    times, stamp, rule, travels = event
    travel = "X-APPLE-TRAVEL-DURATION;VALUE=DURATION:PT45M\r\n" if travels else ""
    payload = (
        f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//t//EN\r\nBEGIN:VEVENT\r\nUID:{number}\r\n"
        f"{times.format(stamp)}\r\n{rule}{travel}END:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()
    return entry_of(number, zone, span=HORIZON, indexed=pack_object(index_object(payload, HORIZON, zone=zone)))


def one_calendar(rows: Mapping[int, Rows], count: int = 0) -> tuple[Reading, Built]:
    tables = filler(FactsTable(), count)
    reading = Reading(changed(tables, {number: (own, "") for number, own in rows.items()}), Rules(), ME, 7)
    return reading, Built(anew([reading]), (reading,))


def after(reading: Reading, changes: Entries) -> Reading:
    return Reading(changed(reading.tables, changes), reading.rules, reading.me, reading.calendar)


NOON = HORIZON.start + 40 * DAY + 12 * 3600


def test_a_change_looks_only_at_chunks_that_may_touch_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 0)]}, 20_000)
    assert len(reading.tables.parts) > 50
    seen: list[int] = []
    monkeypatch.setattr("busyd.availability.splicing.rows_in", counting(seen))
    changed_reading = after(reading, {1: ([(NOON + 7200, 3600, 0)], "")})
    made = rebuilt(built, [changed_reading])
    assert made.snapshot == anew([changed_reading])
    assert 0 < sum(seen) < 20_000 / 8


def test_a_first_change_after_a_start_pauses_at_every_chunk() -> None:
    """What cells a chunk touches is found out by then, in a tenth of a millisecond or more for each."""
    reading, built = one_calendar({1: [(NOON, 3600, 0)]}, 20_000)
    changed_reading = after(reading, {1: ([(NOON + 7200, 3600, 0)], "")})
    pauses = sum(1 for _ in rebuild_snapshot(built, [changed_reading], span=HORIZON))
    assert pauses >= len(changed_reading.tables.parts)


def counting(seen: list[int]) -> Callable[..., object]:
    from busyd.availability.cells import rows_in

    def counted(rows: Sequence[tuple[int, int, int]], flags: bytes, *, low: int, high: int) -> object:
        listed = list(rows)
        seen.append(len(listed))
        return rows_in(listed, flags, low=low, high=high)

    return counted


def test_what_makes_no_difference_to_time_touches_nothing() -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 0)]})
    made = rebuilt(built, [after(reading, {1: ([(NOON, 3600, 0)], ""), 2: ([(NOON, 3600, 2)], "")})])
    assert made.touched == ()
    assert made.snapshot == built.snapshot


def test_a_change_in_front_of_everything_else_repeats_nothing() -> None:
    later: dict[int, Rows] = {number: [(NOON + number * DAY, 3600, 0)] for number in range(1, 6)}
    reading, built = one_calendar(later)
    readings = [after(reading, {9: ([(HORIZON.start + 600, 600, 0)], "")})]
    made = rebuilt(built, readings)
    assert made.touched is not None
    assert made.snapshot == anew(readings)


def test_a_moved_event_tells_the_time_it_freed_and_the_time_it_took() -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 0)]})
    made = rebuilt(built, [after(reading, {1: ([(NOON + 7200, 3600, 1)], "")})])
    stretches = ((NOON, NOON + 3600), (NOON + 7200, NOON + 10_800))
    assert made.touched == (Touched(7, stretches),)
    free, busy = Known(FbType.FREE), Known(FbType.BUSY)
    assert run(find_changes(built.snapshot, made.snapshot, touched=made.touched)) == [
        Change(Instant(NOON), Instant(NOON + 3600), busy, free, (7,)),
        Change(Instant(NOON + 7200), Instant(NOON + 10_800), free, Known(FbType.BUSY_TENTATIVE), (7,)),
    ]


def test_an_event_under_another_one_changes_nothing() -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 0)]})
    made = rebuilt(built, [after(reading, {2: ([(NOON + 600, 600, 1)], "")})])
    assert made.snapshot == built.snapshot
    assert run(find_changes(built.snapshot, made.snapshot, touched=made.touched)) == []


def test_what_is_not_understood_makes_its_time_uncertain() -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 0)]})
    made = rebuilt(built, [after(reading, {1: ([(NOON, 3600, 6)], "")})])
    [change] = run(find_changes(built.snapshot, made.snapshot, touched=made.touched))
    assert (change.before, change.now) == (Known(FbType.BUSY), Known(FbType.BUSY_UNAVAILABLE, uncertain=True))


def test_an_event_without_a_time_makes_everything_uncertain() -> None:
    reading, built = one_calendar({})
    made = rebuilt(built, [after(reading, {1: ([], "no start")})])
    [change] = run(find_changes(built.snapshot, made.snapshot, touched=made.touched))
    assert (change.start, change.end, change.now) == (HORIZON.start, HORIZON.end, Known(FbType.FREE, uncertain=True))


def test_other_rules_are_no_change_of_a_calendar() -> None:
    reading, built = one_calendar({1: [(NOON, 3600, 1)]})
    stricter = Reading(reading.tables, Rules(tentative="busy"), ME, 7)
    made = rebuilt(built, [stricter])
    assert made.touched is None
    [change] = run(find_changes(built.snapshot, made.snapshot, touched=None))
    assert (change.before, change.now, change.calendars) == (Known(FbType.BUSY_TENTATIVE), Known(FbType.BUSY), ())


@given(STARTS, LENGTHS)
def test_the_cells_of_a_span_cover_it(start: int, length: int) -> None:
    cells = cells_of([start], [start + length])
    inside = (max(start, HORIZON.start), min(start + length, HORIZON.end))
    stretches = [*stretches_of(cells, HORIZON)]
    assert inside[0] >= inside[1] or any(low <= inside[0] and inside[1] <= high for low, high in stretches)


@given(st.sets(st.integers(0, CELLS - 1)), STARTS, LENGTHS)
def test_the_stretches_of_cells_are_these_cells_and_no_others(numbers: set[int], start: int, length: int) -> None:
    span = Period(Instant(start), Instant(start + length + 1))
    touched = range(span.start >> CELL_BITS, (span.end - 1 >> CELL_BITS) + 1)
    cells = [(at << CELL_BITS, at + 1 << CELL_BITS) for at in touched if at % CELLS in numbers]
    inside = coalesce((max(low, span.start), min(high, span.end)) for low, high in cells)
    assert [*stretches_of(sum(1 << number for number in numbers), span)] == inside


def test_time_without_end_is_everywhere() -> None:
    assert cells_of([-(10**11)], [10**11]) == EVERYWHERE
    assert [*stretches_of(EVERYWHERE, HORIZON)] == [(HORIZON.start, HORIZON.end)]
