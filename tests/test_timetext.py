"""What people write for a time, read by the one parser that every part of busyd uses."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.ical.zones import reading_zone
from busyd.period import EARLIEST, LATEST, Instant, to_rfc3339
from busyd.timetext import (
    BadText,
    days_between,
    is_date,
    parse_date,
    parse_duration,
    parse_instant,
    parse_moment,
    split_shift,
    write_duration,
)

NOW = Instant(1_795_435_200)  # 2026-11-23T12:00:00Z


def moment(text: str, zone: str = "Europe/Berlin") -> str:
    read = parse_moment(text, now=NOW, zone=lambda: reading_zone(zone))
    return f"{to_rfc3339(read.instant)}{' relative' if read.is_relative else ''}"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("60s", 60),
        ("15m", 900),
        ("1h30m", 5400),
        ("14d", 1_209_600),
        ("2w", 1_209_600),
        ("0m", 0),
        ("3660d", 316224000),
    ],
)
def test_a_duration_is_a_number_with_its_unit_or_several(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.integers(0, 3660 * 86_400))
def test_a_duration_is_written_as_it_is_read(seconds: int) -> None:
    assert parse_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(("seconds", "text"), [(0, "0m"), (5400, "1h30m"), (5_184_000, "60d"), (86_401, "1d1s")])
def test_a_duration_is_written_briefly(seconds: int, text: str) -> None:
    assert write_duration(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("15", "has no unit, did you mean '15s' or '15m'?"),
        ("5 minutes", "is not a duration, did you mean '5m'?"),
        ("2hours", "is not a duration, did you mean '2h'?"),
        ("PT30M", "is not a duration: write it like 60s, 15m, 6h or 14d"),
        ("-5m", "is not a duration: write it like 60s, 15m, 6h or 14d"),
        ("٣m", "is not a duration: write it like 60s, 15m, 6h or 14d"),
        ("3661d", "is longer than 3660 days"),
    ],
)
def test_a_wrong_duration_is_refused_with_what_was_probably_meant(text: str, message: str) -> None:
    with pytest.raises(BadText) as refused:
        parse_duration(text)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("2026-11-23T09:00:00Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23 09:00:00+01:00", "2026-11-23T08:00:00Z"),
        ("2026-11-23", "2026-11-22T23:00:00Z"),
        ("now", "2026-11-23T12:00:00Z relative"),
        ("now-2h", "2026-11-23T10:00:00Z relative"),
        ("+14d", "2026-12-07T12:00:00Z relative"),
    ],
)
def test_a_point_in_time_says_whether_it_moves_with_the_present(text: str, means: str) -> None:
    assert moment(text) == means


def test_a_day_whose_midnight_the_clocks_skip_begins_after_the_gap() -> None:
    assert moment("2026-03-08", "America/Havana") == "2026-03-08T05:00:00Z"


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "2026-02-30T09:00:00Z", "2026-02-30 09:00:00+01:00"])
def test_a_day_that_no_calendar_has_is_told_apart(text: str) -> None:
    with pytest.raises(BadText, match=r"^names a day that does not exist$"):
        parse_instant(text, zone=lambda: reading_zone("UTC"))


def test_what_is_added_to_a_time_is_split_off() -> None:
    assert split_shift("mon 09:00 + 1w2d3h4m") == ("mon 09:00", 9, 11_040)
    for text in ("mon", "+3d", "now+3d", "2026-11-23T09:00:00+01:00", "mon+3"):
        assert split_shift(text) == (text, 0, 0)


def test_what_counts_from_now_is_no_instant_of_its_own() -> None:
    for text in ("now", "+14d", " 1h"):
        with pytest.raises(BadText):
            parse_instant(text, zone=lambda: reading_zone("UTC"))


def test_dates_are_read_with_and_without_zeros_in_front() -> None:
    assert parse_date("2026-1-5") == parse_date("2026-01-05") == date(2026, 1, 5)
    assert is_date("2026-02-30")
    assert not is_date("mon-fri")
    with pytest.raises(BadText, match="is not a valid date"):
        parse_date("2026-02-30")


def test_days_lie_between_dates_alone() -> None:
    assert days_between("2026-03-28", "2026-03-30") == 2
    assert days_between("2026-03-28", "now") is None


@given(st.text(max_size=60) | st.from_regex(r"(?:now)?[+ -]\d{1,9}[smhdw]", fullmatch=True))
def test_any_text_is_a_time_of_the_calendar_or_refused_without_being_repeated(text: str) -> None:
    try:
        read = parse_moment(text, now=NOW, zone=lambda: reading_zone("Europe/Berlin"))
    except BadText as error:
        assert len(text) < 5 or text not in str(error)
    else:
        assert EARLIEST <= read.instant <= LATEST
