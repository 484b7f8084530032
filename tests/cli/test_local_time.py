"""Times as they are shown to a person: which of two, where clocks show a time twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.cli.local_time import moments_of, show_instant, write_local
from busyd.cli.window import show_span, show_time
from busyd.ical.zones import reading_zone
from busyd.period import Instant
from busyd.timetext import parse_instant

BERLIN = reading_zone("Europe/Berlin")
HAVANA = reading_zone("America/Havana")


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-11-23T08:00:00Z", "Mon 2026-11-23 09:00"),
        ("2027-10-30T23:59:59Z", "Sun 2027-10-31 01:59:59"),
        ("2027-10-31T00:00:00Z", "Sun 2027-10-31 02:00+02:00"),
        ("2027-10-31T01:00:00Z", "Sun 2027-10-31 02:00+01:00"),
        ("2027-10-31T02:00:00Z", "Sun 2027-10-31 03:00"),
        ("2027-03-28T01:00:00Z", "Sun 2027-03-28 03:00"),
    ],
)
def test_a_time_that_clocks_show_twice_is_shown_with_its_offset(time: str, shown: str) -> None:
    assert show_time(time, BERLIN) == shown


@pytest.mark.parametrize(
    ("start", "end", "shown"),
    [
        ("2027-10-30T22:30:00Z", "2027-10-30T23:00:00Z", "Sun 2027-10-31 00:30-01:00"),
        ("2027-10-31T00:00:00Z", "2027-10-31T01:15:00Z", "Sun 2027-10-31 02:00+02:00 to 02:15+01:00"),
        ("2027-10-30T23:00:00Z", "2027-10-31T00:30:00Z", "Sun 2027-10-31 01:00 to 02:30+02:00"),
        ("2027-10-30T22:00:00Z", "2027-10-31T23:00:00Z", "Sun 2027-10-31, all day"),
    ],
)
def test_a_span_with_such_a_time_says_which_is_meant(start: str, end: str, shown: str) -> None:
    assert show_span({"start": start, "end": end}, BERLIN) == shown


def test_a_day_with_two_midnights_begins_at_the_first() -> None:
    day = {"start": "2025-11-02T04:00:00Z", "end": "2025-11-03T05:00:00Z"}
    assert show_span(day, HAVANA) == "Sun 2025-11-02, all day"
    shorter = show_span({**day, "start": "2025-11-02T05:00:00Z"}, HAVANA)
    assert shorter == "Sun 2025-11-02 00:00-05:00 to Mon 2025-11-03 00:00"


@given(
    st.integers(-2_000_000_000, 8_000_000_000).map(Instant),
    st.sampled_from(["Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu"]),
)
def test_a_moment_is_among_those_at_which_clocks_show_its_time(instant: Instant, name: str) -> None:
    zone = reading_zone(name)
    wall = zone.wall(instant)
    assert instant in moments_of(wall, zone)
    assert zone.instant(wall) == moments_of(wall, zone)[0]
    other = [at for at in moments_of(wall, zone) if at != instant]
    assert show_instant(instant, zone) not in [show_instant(at, zone) for at in other]


def test_a_time_on_a_clock_is_written_with_its_offset() -> None:
    instant = parse_instant("2026-12-01T09:00:00Z", zone=lambda: BERLIN)
    assert write_local(instant, BERLIN) == "2026-12-01T10:00:00+01:00"
