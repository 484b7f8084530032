"""Working hours as a VAVAILABILITY say the same as the slots do."""

from datetime import date

import pytest

from busyd.availability.hours import Hours
from busyd.flow.compose_hours import availability_of
from busyd.ical.vavailability import read_availability
from busyd.period import FbType, Instant, Period, to_rfc3339

NOW = 1_795_435_200
MIDNIGHT = NOW - 12 * 3600
DAY = 86_400
OFFICE = ((540, 720), (780, 1440))
HOURS = Hours(
    (OFFICE, OFFICE, ((540, 720),), (), (), (), ()),
    {date(2026, 11, 24): ((600, 660),), date(2026, 12, 7): (), date(2020, 1, 6): ()},
)


def closed(start: int, days: int, *, zone: str) -> list[tuple[str, str]]:
    payload = availability_of(HOURS, zone=zone, name="anna", now=NOW)
    span = Period(Instant(start), Instant(start + days * DAY))
    found = read_availability(payload, span, zone="UTC")
    assert not found.problems
    assert {kind for _, _, kind in found.spans} <= {FbType.BUSY_UNAVAILABLE}
    return [(to_rfc3339(begin)[5:16], to_rfc3339(end)[5:16]) for begin, end, _ in found.spans]


def test_a_day_has_the_hours_of_its_weekday_or_its_own() -> None:
    assert closed(MIDNIGHT, 3, zone="UTC") == [
        ("11-23T00:00", "11-23T09:00"),
        ("11-23T12:00", "11-23T13:00"),
        ("11-24T00:00", "11-24T10:00"),
        ("11-24T11:00", "11-25T09:00"),
        ("11-25T12:00", "11-26T00:00"),
    ]


def test_a_day_that_is_closed_is_closed_once() -> None:
    assert closed(MIDNIGHT + 14 * DAY, 1, zone="UTC") == [("12-07T00:00", "12-08T00:00")]
    assert len(closed(MIDNIGHT + 21 * DAY, 1, zone="UTC")) == 2


@pytest.mark.parametrize(("weeks", "hour"), [(0, "08"), (18, "07")], ids=["in winter", "in summer"])
def test_hours_are_those_on_the_clock_of_the_profile(weeks: int, hour: str) -> None:
    first = closed(MIDNIGHT + weeks * 7 * DAY, 1, zone="Europe/Berlin")[0]
    assert first[1][6:8] == hour


def test_the_text_is_the_same_for_the_whole_of_a_year() -> None:
    texts = {availability_of(HOURS, zone="Europe/Berlin", name="anna", now=NOW + at * DAY) for at in (0, 10, 38)}
    assert len(texts) == 1
