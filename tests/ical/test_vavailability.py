"""VAVAILABILITY: the time outside of AVAILABLE, bounds, types and priorities (RFC 7953)."""

import pytest

from busyd.ical.vavailability import read_availability
from busyd.period import FbType, clip, flatten
from tests.ical.objects import JUNE, calendar, window

DAY = window("20260601", "20260602")


def hours(start: str, end: str, *more: str) -> str:
    return "\r\n".join(("BEGIN:AVAILABLE", f"DTSTART:{start}", f"DTEND:{end}", *more, "END:AVAILABLE"))


def component(*parts: str) -> str:
    return "\r\n".join(("BEGIN:VAVAILABILITY", *parts, "END:VAVAILABILITY"))


def busy_hours(*components: str) -> list[tuple[int, int, str]]:
    found = read_availability(calendar(*components), DAY, zone="UTC")
    flat = flatten(clip(found.spans, DAY))
    return [((start - DAY.start) // 3600, (end - DAY.start) // 3600, FbType(kind).text) for start, end, kind in flat]


NINE_TO_FIVE = hours("20260601T090000Z", "20260601T170000Z", "RRULE:FREQ=DAILY")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((NINE_TO_FIVE,), [(0, 9, "BUSY-UNAVAILABLE"), (17, 24, "BUSY-UNAVAILABLE")]),
        (("BUSYTYPE:BUSY", NINE_TO_FIVE), [(0, 9, "BUSY"), (17, 24, "BUSY")]),
        (("BUSYTYPE:X-ODD", NINE_TO_FIVE), [(0, 9, "BUSY-UNAVAILABLE"), (17, 24, "BUSY-UNAVAILABLE")]),
        ((), [(0, 24, "BUSY-UNAVAILABLE")]),
        (("DTSTART:20260601T120000Z", NINE_TO_FIVE), [(17, 24, "BUSY-UNAVAILABLE")]),
        (("DTEND:20260601T120000Z", NINE_TO_FIVE), [(0, 9, "BUSY-UNAVAILABLE")]),
        (("DTSTART:20260601T060000Z", "DURATION:PT2H"), [(6, 8, "BUSY-UNAVAILABLE")]),
        (("DTSTART:20260701T000000Z",), []),
        (("DTSTART:soon", NINE_TO_FIVE), [(0, 9, "BUSY-UNAVAILABLE"), (17, 24, "BUSY-UNAVAILABLE")]),
        ((hours("20260601T090000Z", "never"),), [(0, 24, "BUSY-UNAVAILABLE")]),
    ],
)
def test_time_outside_of_available_is_busy(parts: tuple[str, ...], expected: list[tuple[int, int, str]]) -> None:
    assert busy_hours(component(*parts)) == expected


def test_a_higher_priority_decides_its_own_span_and_lower_ones_the_rest() -> None:
    holiday = component("PRIORITY:1", "DTSTART:20260601T080000Z", "DTEND:20260601T120000Z", "BUSYTYPE:BUSY")
    free = component("PRIORITY:2", hours("20260601T000000Z", "20260601T200000Z"))
    lowest = component("BUSYTYPE:BUSY-TENTATIVE")
    assert busy_hours(lowest, free, holiday) == [(8, 12, "BUSY"), (20, 24, "BUSY-UNAVAILABLE")]
    opened = component("PRIORITY:1", "DTEND:20260601T120000Z", hours("20260601T000000Z", "20260602T000000Z"))
    assert busy_hours(lowest, opened) == [(12, 24, "BUSY-TENTATIVE")]


def test_of_two_with_equal_priority_what_is_busy_in_one_is_busy() -> None:
    morning = component(hours("20260601T000000Z", "20260601T120000Z"))
    noon = component(hours("20260601T060000Z", "20260601T180000Z"), "BUSYTYPE:BUSY")
    expected = [(0, 6, "BUSY"), (12, 18, "BUSY-UNAVAILABLE"), (18, 24, "BUSY")]
    assert busy_hours(morning, noon) == busy_hours(noon, morning) == expected


def test_available_time_recurs_with_overrides_and_cancellations() -> None:
    series = hours("20260601T090000Z", "20260601T170000Z", "UID:a", "RRULE:FREQ=DAILY")
    moved = hours("20260601T100000Z", "20260601T110000Z", "UID:a", "RECURRENCE-ID:20260601T090000Z")
    assert busy_hours(component(series, moved)) == [(0, 10, "BUSY-UNAVAILABLE"), (11, 24, "BUSY-UNAVAILABLE")]
    cancelled = moved.replace("END:AVAILABLE", "STATUS:CANCELLED\r\nEND:AVAILABLE")
    assert busy_hours(component(series, cancelled)) == [(0, 24, "BUSY-UNAVAILABLE")]


def test_a_text_without_vavailability_says_nothing_but_is_reported() -> None:
    found = read_availability(b"nonsense", JUNE, zone="UTC")
    assert found.spans == []
    assert found.problems
