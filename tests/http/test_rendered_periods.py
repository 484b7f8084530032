import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

import busyd.http.rendered_periods
from busyd.availability.snapshot import Snapshot
from busyd.http.rendered_periods import MOST_PERIODS, RenderedPeriods, write_period
from busyd.period import FbType, Instant, Period, flatten

SPAN = Period(Instant(1_700_000_000), Instant(1_800_000_000))


def snapshot_of(spans: list[tuple[int, int, int]]) -> Snapshot:
    rows = flatten(spans)
    return Snapshot(
        SPAN, array("q", [row[0] for row in rows]), array("q", [row[1] for row in rows]), bytes(row[2] for row in rows)
    )


_spans = st.lists(st.tuples(st.integers(0, 900), st.integers(1, 3), st.sampled_from([1, 2, 3])), max_size=700).map(
    lambda rows: [(SPAN.start + at * 100, SPAN.start + (at + long) * 100, kind) for at, long, kind in rows]
)
_windows = st.tuples(st.integers(0, 41_000), st.integers(1, 20_000)).map(
    lambda pair: Period(Instant(SPAN.start + pair[0]), Instant(SPAN.start + pair[0] + pair[1]))
)


@given(_spans, st.lists(_windows, min_size=1, max_size=4))
def test_rendered_periods_are_what_the_snapshot_says(spans: list[tuple[int, int, int]], windows: list[Period]) -> None:
    snapshot = snapshot_of(spans)
    rendered_periods = RenderedPeriods(snapshot)
    for window in windows:
        read = rendered_periods.read(window)
        assert read is not None
        assert read.json == b",".join(write_period(span) for span in snapshot.between(window))
        json.loads(b"[%b]" % read.json)


def test_a_list_too_long_to_be_written_at_once_is_none() -> None:
    hours = [(SPAN.start + hour * 3600, SPAN.start + hour * 3600 + 60, FbType.BUSY) for hour in range(MOST_PERIODS + 1)]
    assert RenderedPeriods(snapshot_of([*hours])).read(SPAN) is None
    read = RenderedPeriods(snapshot_of([*hours[1:]])).read(SPAN)
    assert read is not None
    assert read.json.count(b"BUSY") == MOST_PERIODS


def test_a_snapshot_of_any_size_keeps_a_bounded_number_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(busyd.http.rendered_periods, "_MOST_KEPT", 50)
    snapshot = snapshot_of([(SPAN.start + at * 100, SPAN.start + at * 100 + 60, FbType.BUSY) for at in range(900)])
    rendered_periods = RenderedPeriods(snapshot)
    for at in range(0, 900, 30):
        window = Period(Instant(SPAN.start + at * 100), Instant(SPAN.start + at * 100 + 3000))
        read = rendered_periods.read(window)
        assert read is not None
        assert read.json == b",".join(write_period(span) for span in snapshot.between(window))
        assert rendered_periods.kept <= 80


@given(_spans, _windows, _windows)
def test_lists_have_the_same_digest_exactly_when_they_say_the_same(
    spans: list[tuple[int, int, int]], first: Period, second: Period
) -> None:
    rendered_periods = RenderedPeriods(snapshot_of(spans))
    one, other = rendered_periods.read(first), rendered_periods.read(second)
    assert one is not None
    assert other is not None
    assert (one.digest == other.digest) == (one.json == other.json)
