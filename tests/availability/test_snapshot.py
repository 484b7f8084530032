"""The snapshot in memory equals the plain definition: decide about every occurrence, merge, clip."""

from array import array
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.availability.building import Reading, build_snapshot
from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.policy import Rules, decide
from busyd.availability.snapshot import Snapshot, pack, unpack
from busyd.ical.facts import Facts
from busyd.period import Instant, Period, Span, clip, flatten
from busyd.store.occurrences import IndexEntry

T = TypeVar("T")
HORIZON = Period(Instant(0), Instant(100 * 86_400))
FACTS = (
    Facts(),
    Facts(status="TENTATIVE"),
    Facts(transp="TRANSPARENT"),
    Facts(travel_before=1800, travel_after=900),
    Facts(unknown="a line that cannot be read"),
)
INSTANTS = st.integers(-10 * 86_400, 110 * 86_400)
ROWS = st.lists(st.tuples(INSTANTS, st.integers(1, 40 * 86_400), st.integers(0, len(FACTS) - 1)), max_size=40)
OBJECTS = st.dictionaries(st.integers(1, 30), ROWS, max_size=8)
Occurrences = dict[int, list[tuple[int, int, int]]]


def run(work: Generator[None, None, T]) -> T:
    while True:
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result


def entry(number: int, rows: list[tuple[int, int, int]]) -> IndexEntry:
    flat = array("q", [value for start, length, facts in rows for value in (start, start + length, facts)])
    return IndexEntry(number, "", HORIZON, False, flat, FACTS)


def columns_of(objects: Occurrences) -> OccurrenceTable:
    return run(OccurrenceTable(FactsTable()).changed({number: entry(number, rows) for number, rows in objects.items()}))


def snapshot_of(tables: OccurrenceTable) -> Snapshot:
    return run(build_snapshot([Reading(tables, Rules(), frozenset())], HORIZON))


def by_definition(objects: Occurrences, window: Period) -> list[Span]:
    spans: list[Span] = []
    for rows in objects.values():
        for start, length, number in rows:
            verdict = decide(FACTS[number], Rules(), me=frozenset())
            spans.append((start - verdict.before, start + length + verdict.after, verdict.fbtype))
    return flatten(clip(flatten(clip(spans, HORIZON)), window))


@given(OBJECTS, INSTANTS, st.integers(1, 30 * 86_400))
def test_a_window_is_what_the_definition_says(objects: Occurrences, start: int, length: int) -> None:
    window = Period(Instant(start), Instant(start + length))
    assert snapshot_of(columns_of(objects)).between(window) == by_definition(objects, window)


@given(OBJECTS, OBJECTS, st.sets(st.integers(1, 30)))
def test_changed_columns_equal_columns_made_anew(before: Occurrences, changes: Occurrences, gone: set[int]) -> None:
    after = {number: rows for number, rows in {**before, **changes}.items() if number not in gone - changes.keys()}
    replaced: dict[int, IndexEntry | None] = {
        **dict.fromkeys(gone),
        **{n: entry(n, rows) for n, rows in changes.items()},
    }
    changed = run(columns_of(before).changed(replaced))
    assert snapshot_of(changed) == snapshot_of(columns_of(after))


@given(OBJECTS)
def test_a_stored_snapshot_is_read_back_the_same(objects: Occurrences) -> None:
    snapshot = snapshot_of(columns_of(objects))
    assert unpack(pack(snapshot)) == snapshot


@given(OBJECTS, st.data())
def test_a_damaged_stored_snapshot_is_refused(objects: Occurrences, data: st.DataObject) -> None:
    body = pack(snapshot_of(columns_of(objects)))
    cut = data.draw(st.integers(0, len(body) - 1))
    with pytest.raises(ValueError, match="damaged"):
        unpack(body[:cut])


def test_a_window_that_touches_what_is_not_understood_is_not_called_understood() -> None:
    snapshot = snapshot_of(columns_of({1: [(86_400, 3600, 4)]}))
    assert not snapshot.understood(Period(Instant(86_400), Instant(86_401)))
    assert snapshot.understood(Period(Instant(0), Instant(86_400)))


def test_time_that_is_not_known_at_all_makes_no_window_understood() -> None:
    lost = IndexEntry(1, "", HORIZON, False, array("q"), (), incomplete="no start")
    snapshot = snapshot_of(run(OccurrenceTable(FactsTable()).changed({1: lost})))
    assert not snapshot.understood(Period(Instant(0), Instant(1)))
