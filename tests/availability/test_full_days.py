"""Limits on how many appointments a day and a week take, counted by the clocks of a zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from busyd.availability.full_days import full_spans
from busyd.availability.hours import SlotDefaults
from busyd.ical.zones import reading_zone

ZONES = ("Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Asia/Beirut", "Pacific/Apia", "UTC")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def full(*starts: str, per_day: int | None = None, per_week: int | None = None, zone: str = "UTC") -> list[str]:
    limits = SlotDefaults(per_day=per_day, per_week=per_week)
    found = full_spans(map(at, starts), limits, zone=reading_zone(zone))
    return [f"{datetime.fromtimestamp(moment, UTC):%m-%d %H:%M}" for span in found for moment in span]


def test_without_limits_nothing_is_ever_full() -> None:
    assert full("2026-11-23T09:00", "2026-11-23T10:00") == []


def test_a_day_is_full_from_one_midnight_of_the_zone_to_the_next() -> None:
    starts = ("2026-11-22T23:30", "2026-11-23T09:00")  # both on Monday in Berlin, on two days in UTC
    assert full(*starts, per_day=2, zone="Europe/Berlin") == ["11-22 23:00", "11-23 23:00"]
    assert full(*starts, per_day=2) == []
    assert full(*starts, per_day=3, zone="Europe/Berlin") == []


def test_a_week_starts_on_monday() -> None:
    sunday, monday, next_sunday = "2026-11-22T12:00", "2026-11-23T00:00", "2026-11-29T23:59"
    assert full(sunday, monday, next_sunday, per_week=2) == ["11-23 00:00", "11-30 00:00"]
    assert full(sunday, monday, per_week=2) == []


def test_a_full_day_in_a_full_week_and_next_to_it_are_one_span() -> None:
    starts = ("2026-11-23T09:00", "2026-11-23T10:00", "2026-11-30T09:00")
    assert full(*starts, per_day=1, per_week=2) == ["11-23 00:00", "12-01 00:00"]


def test_days_on_which_the_clocks_change_are_whole() -> None:
    assert full("2026-10-25T12:00", per_day=1, zone="Europe/Berlin") == ["10-24 22:00", "10-25 23:00"]
    assert full("2026-03-29T12:00", per_day=1, zone="Europe/Berlin") == ["03-28 23:00", "03-29 22:00"]
    assert full("2026-10-24T22:00", per_week=1, zone="Europe/Berlin") == ["10-18 22:00", "10-25 23:00"]


@pytest.mark.parametrize("zone", ZONES)
@given(data=st.data())
def test_exactly_the_times_with_the_date_or_week_of_an_appointment_are_full(zone: str, data: st.DataObject) -> None:
    """Against the calendar of the standard library, also where midnight is skipped or comes twice."""
    moments = st.integers(at("1990-01-01"), at("2027-12-31"))
    start = data.draw(moments)
    near = data.draw(st.integers(-9 * 86_400, 9 * 86_400)) + start
    known, clocks = reading_zone(zone), ZoneInfo(zone)
    first, second = (datetime.fromtimestamp(moment, clocks).date() for moment in (start, near))
    mondays = [day - timedelta(days=day.weekday()) for day in (first, second)]
    for limits, same in (
        (SlotDefaults(per_day=1), first == second),
        (SlotDefaults(per_week=1), mondays[0] == mondays[1]),
    ):
        spans = full_spans([start], limits, zone=known)
        assert any(low <= near < high for low, high in spans) is same
