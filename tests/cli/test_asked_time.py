"""Times as people type them: days by their names, in the zone that is shown."""

import pytest

from busyd.cli.asked_time import asked_span, asked_time
from busyd.cli.exit_status import UsageError
from busyd.ical.zones import reading_zone
from busyd.period import Instant

NOW = Instant(1_795_476_600)
"""2026-11-23T23:30:00Z: Tuesday already in Berlin."""


def span(start: str, end: str, *, zone: str = "Europe/Berlin", is_written: bool = False) -> list[str]:
    given = {"start": start, "end": end}
    times = asked_span(given, reading_zone(zone), now=NOW, program="busyd freebusy", is_written=is_written)
    return [str(text) for text in times.values()]


def asked(text: str, zone: str = "Europe/Berlin") -> str:
    return asked_time(text, reading_zone(zone), now=NOW, option="--start", program="busyd freebusy")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("today", "2026-11-24"),
        ("Tomorrow", "2026-11-25"),
        ("yesterday", "2026-11-23"),
        ("tue", "2026-11-24"),
        ("monday", "2026-11-30"),
        ("mon 14:30", "2026-11-30T13:30:00Z"),
        ("today 9:00", "2026-11-24T08:00:00Z"),
        ("2026-12-01 09:00", "2026-12-01T08:00:00Z"),
        ("now", "now"),
        ("+14d", "+14d"),
        ("2026-12-01", "2026-12-01"),
        ("2026-12-01T09:00:00Z", "2026-12-01T09:00:00Z"),
        ("mon+3d", "2026-12-03"),
        ("Mon 14:30 + 1w2h", "2026-12-07T15:30:00Z"),
        ("today+90m", "2026-11-24T00:30:00Z"),
        ("2026-12-07+3d", "2026-12-10"),
        ("2027-03-27 12:00+1d", "2027-03-28T10:00:00Z"),
        ("2026-12-01T09:00:00+01:00+1d", "2026-12-02T08:00:00Z"),
    ],
)
def test_days_have_names(typed: str, meant: str) -> None:
    assert asked(typed) == meant


def test_a_misspelt_day_is_told_with_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"--start: 'tomorow' is not a point in time, did you mean 'tomorrow'\?"):
        asked("tomorow")
    with pytest.raises(UsageError, match=r"'noon' is not a point in time: write RFC 3339, .* `today`, .* `mon 14:30`"):
        asked("noon")


def test_a_day_is_that_of_the_zone_that_is_shown() -> None:
    assert asked("today", "UTC") == "2026-11-23"


@pytest.mark.parametrize(
    "typed", ["", "soon", "mo", "mon 25:00", "2026-13-01", "12:00", "soon+3d", "mon+3", "mon+999999999w"]
)
def test_anything_else_is_a_fault_of_usage(typed: str) -> None:
    with pytest.raises(UsageError, match="--start"):
        asked(typed)


@pytest.mark.parametrize("typed", ["2026-02-30", "2026-02-30 10:00", "2026-02-30T10:00:00Z", "2026-02-30+3d"])
def test_a_day_that_does_not_exist_is_told_as_such(typed: str) -> None:
    with pytest.raises(UsageError) as refused:
        asked(typed)
    assert str(refused.value) == f"--start: {typed!r} names a day that does not exist"


@pytest.mark.parametrize(
    ("start", "end", "meant"),
    [
        ("mon", "wed", ["2026-11-30", "2026-12-02"]),
        ("mon", "mon", ["2026-11-30", "2026-12-07"]),
        ("mon", "mon+3d", ["2026-11-30", "2026-12-03"]),
        ("wed", "mon+1d", ["2026-11-25", "2026-12-01"]),
        ("mon 09:00", "mon 17:00", ["2026-11-30T08:00:00Z", "2026-11-30T16:00:00Z"]),
        ("mon 17:00", "mon 09:00", ["2026-11-30T16:00:00Z", "2026-12-07T08:00:00Z"]),
        ("2026-12-15", "tue", ["2026-12-15", "2026-12-22"]),
        ("now", "tue", ["now", "2026-12-01"]),
    ],
)
def test_a_weekday_as_the_end_is_the_first_after_the_start(start: str, end: str, meant: list[str]) -> None:
    assert span(start, end) == meant
    assert span(start, end, is_written=True) == meant


def test_an_end_that_is_not_after_the_start_is_told_with_what_both_mean() -> None:
    with pytest.raises(UsageError) as refused:
        span("mon", "+3d")
    assert str(refused.value) == (
        "the window is empty or reversed: --start 'mon' is Mon 2026-11-30 00:00, and --end '+3d' is Fri 2026-11-27 "
        "00:30; +3d counts from now, mon+3d from the start"
    )
    with pytest.raises(UsageError, match=r"--end '\+3d' is Fri 2026-11-27 00:30; \+3d counts from now$"):
        span("+5d", "+3d")
    with pytest.raises(UsageError, match=r"and --end 'today' is Tue 2026-11-24 00:00$"):
        span("today", "today")


def test_of_an_hour_that_clocks_show_twice_a_start_is_the_first_and_an_end_the_second() -> None:
    assert span("2027-10-31 02:00", "2027-10-31 02:30") == ["2027-10-31T00:00:00Z", "2027-10-31T01:30:00Z"]
    assert span("2027-10-31 02:30", "2027-10-31 02:30") == ["2027-10-31T00:30:00Z", "2027-10-31T01:30:00Z"]
    assert span("2027-03-28 02:30", "2027-03-28 04:00") == ["2027-03-28T01:30:00Z", "2027-03-28T02:00:00Z"]


@pytest.mark.parametrize(
    ("zone", "typed", "said"),
    [
        (
            "Europe/Berlin",
            "2027-10-31 02:00",
            "02:00 comes twice on 2027-10-31 in Europe/Berlin: "
            "write 2027-10-31T02:00:00+02:00 or 2027-10-31T02:00:00+01:00",
        ),
        (
            "Europe/Berlin",
            "2027-03-28 02:30",
            "02:30 does not exist on 2027-03-28 in Europe/Berlin: "
            "clocks go from 02:00 to 03:00; write a time before 02:00, or 03:00 or later",
        ),
        (
            "Australia/Lord_Howe",
            "2026-04-05 01:45",
            "01:45 comes twice on 2026-04-05 in Australia/Lord_Howe: "
            "write 2026-04-05T01:45:00+11:00 or 2026-04-05T01:45:00+10:30",
        ),
    ],
)
def test_time_that_something_is_put_in_must_be_one_time(zone: str, typed: str, said: str) -> None:
    for start, end, option in ((typed, "2199-01-01", "--start"), ("2001-01-01", typed, "--end")):
        with pytest.raises(UsageError) as refused:
            span(start, end, zone=zone, is_written=True)
        assert str(refused.value) == f"{option}: {said}"


def test_what_is_written_with_its_offset_or_as_a_date_is_one_time() -> None:
    written = ["2027-10-31T02:00:00+02:00", "2027-10-31T02:00:00+01:00"]
    assert span(written[0], written[1], is_written=True) == written
    skipped = ["2026-03-08", "2026-03-09"]
    assert span(skipped[0], skipped[1], zone="America/Havana", is_written=True) == skipped
