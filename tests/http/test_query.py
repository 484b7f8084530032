from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.http.problem import HttpProblem
from busyd.http.query import parse_query, parse_seconds, parse_time, parse_window
from busyd.ical.zones import reading_zone
from busyd.period import EARLIEST, LATEST, Instant, to_rfc3339
from busyd.timetext import PointInTime
from tests.http.small_backend import NOW

BERLIN = reading_zone("Europe/Berlin")


def instant(text: str) -> str:
    return to_rfc3339(parse_time("start", text, now=NOW, zone=lambda: BERLIN).instant)


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23t09:00:00z", "2026-11-23T09:00:00Z"),
        ("2026-11-23T09:00:00+01:00", "2026-11-23T08:00:00Z"),
        ("2026-11-23T09:00:00 01:00", "2026-11-23T08:00:00Z"),
        ("2026-11-23 09:00:00-05:30", "2026-11-23T14:30:00Z"),
        ("2026-11-23T09:00:00.987Z", "2026-11-23T09:00:00Z"),
        ("2026-12-31T23:59:60Z", "2027-01-01T00:00:00Z"),
        ("2026-11-23", "2026-11-22T23:00:00Z"),
        ("2026-07-01", "2026-06-30T22:00:00Z"),
        ("now", "2026-11-23T12:00:00Z"),
        ("+14d", "2026-12-07T12:00:00Z"),
        (" 14d", "2026-12-07T12:00:00Z"),
        ("-2h", "2026-11-23T10:00:00Z"),
        ("now+1h30m", "2026-11-23T13:30:00Z"),
        ("now-1w", "2026-11-16T12:00:00Z"),
        ("+90s", "2026-11-23T12:01:30Z"),
    ],
)
def test_times_are_read_as_people_and_programs_write_them(text: str, means: str) -> None:
    assert instant(text) == means


NO_TIMES = [
    *("", "tomorrow", "14d", "+14", "+d", "2026-11-23T09:00:00", "2026-11-23T09:00Z", "2026-11-23T24:00:00Z"),
    *("2026-13-01", "2026-W47-1", "20261123T090000Z", "2026-11-23T09:00:00+25:00", "2026-11-23T09:00:00+0100"),
    *("1795435200", "٢٠٢٦-11-23", "2026-11-23T09:00:00Z ", "+999999999w", "-999999999w", "0001-01-01T00:00:00+05:00"),
]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(HttpProblem) as refused:
        instant(text)
    assert (refused.value.status, refused.value.name) == (400, "bad-window")
    assert "2026-11-23T09:00:00Z" in refused.value.fix


@given(st.integers(EARLIEST, LATEST).map(Instant), st.integers(-14 * 60, 14 * 60))
def test_every_time_is_read_back_as_it_was_written_in_any_offset(moment: Instant, minutes: int) -> None:
    assert parse_time("start", to_rfc3339(moment), now=NOW, zone=lambda: BERLIN) == PointInTime(moment)
    try:
        local = datetime.fromtimestamp(moment, UTC) + timedelta(minutes=minutes)
    except OverflowError:
        return
    sign, away = "-" if minutes < 0 else "+", abs(minutes)
    text = f"{local.isoformat()[:19]}{sign}{away // 60:02}:{away % 60:02}"
    assert parse_time("start", text, now=NOW, zone=lambda: BERLIN) == PointInTime(moment)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        read = parse_time("end", text, now=NOW, zone=lambda: BERLIN)
    except HttpProblem:
        return
    assert EARLIEST <= read.instant <= LATEST


@given(st.text(alphabet="=&%+ab01\xff ", max_size=40))
def test_no_query_breaks_the_reader(text: str) -> None:
    try:
        query = parse_query(text, frozenset("ab"))
    except HttpProblem as refused:
        assert refused.status == 400
    else:
        assert set(query) <= {"a", "b"}


def test_a_window_knows_whether_it_moves() -> None:
    def moves(**query: str) -> bool:
        return parse_window(query, now=NOW, zone=lambda: BERLIN)[1]

    assert moves()
    assert moves(start="2026-11-01", end="+1d")
    assert not moves(start="2026-11-01", end="2026-11-02")
    assert not moves(start="2026-11-01")


def test_a_window_of_a_thousand_days_is_the_longest() -> None:
    window, _ = parse_window({"start": "now", "end": "+1000d"}, now=NOW, zone=lambda: BERLIN)
    assert window.end - window.start == 1000 * 86_400
    with pytest.raises(HttpProblem, match="1000 days"):
        parse_window({"start": "now", "end": "+1000d1s"}, now=NOW, zone=lambda: BERLIN)


def test_a_window_of_a_thousand_dates_may_hold_a_change_of_the_clocks() -> None:
    query = {"start": "2026-06-01", "end": "2029-02-25"}
    window, _ = parse_window(query, now=NOW, zone=lambda: BERLIN)
    assert window.end - window.start == 1000 * 86_400 + 3600
    for changed in ({"end": "2029-02-26"}, {"start": "2026-05-31"}, {"start": "2026-05-31T22:00:00Z"}):
        with pytest.raises(HttpProblem, match="1000 days"):
            parse_window({**query, **changed}, now=NOW, zone=lambda: BERLIN)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("1h30m", 5400), ("2d", 172_800), ("1w", 604_800), ("0m", 0)]
)
def test_durations_have_units(text: str, seconds: int) -> None:
    assert parse_seconds("notice", text) == seconds


@pytest.mark.parametrize("text", ["", "30", "30min", "-5m", "1.5h", "PT30M", "m", "1001d", "9999999999m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(HttpProblem, match="notice="):
        parse_seconds("notice", text)
