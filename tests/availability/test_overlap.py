"""Objects near many spans, against looking at each span by itself."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.overlap import objects_near
from busyd.cooperative import in_one_go
from busyd.ical.facts import Facts
from busyd.period import Instant, Period
from busyd.store.occurrences import IndexEntry

HOUR = 3600
SPANS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda pair: (pair[0] * HOUR, (pair[0] + pair[1]) * HOUR)),
    max_size=20,
)


@given(SPANS, SPANS.map(lambda spans: sorted((start, end) for start, end in spans if start < end)))
def test_it_finds_what_a_look_at_each_span_finds(events: list[tuple[int, int]], spans: list[tuple[int, int]]) -> None:
    table = OccurrenceTable(FactsTable())
    entries = [
        IndexEntry(
            object=number,
            zone="",
            span=Period(Instant(0), Instant(1000 * HOUR)),
            recurring=False,
            occurrences=array("q", (start, end, 0)),
            facts=(Facts(),),
        )
        for number, (start, end) in enumerate(events)
    ]
    table = in_one_go(table.changed({entry.object: entry for entry in entries}))
    found = in_one_go(objects_near(table, spans))
    for (start, end), numbers in zip(spans, found, strict=True):
        assert numbers == in_one_go(table.objects_in(Period(Instant(start), Instant(end))))
