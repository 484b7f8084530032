"""The end that a server wants of every event, where an app wrote none, or a DURATION."""

import pytest

from busyd.ical.acceptable import check_object, with_ends
from tests.ical.objects import busy, calendar, event, spans, window

YEAR = window("20260101", "20270101")


@pytest.mark.parametrize(
    ("start", "length", "end"),
    [
        ("DTSTART:20260601T090000Z", "DURATION:PT90M", "DTEND:20260601T103000Z"),
        ("DTSTART:20260601T090000", "DURATION:P1DT1H", "DTEND:20260602T100000"),
        ("DTSTART:20260601T090000Z", "", "DTEND:20260601T090000Z"),
        ("DTSTART;VALUE=DATE:20260601", "", "DTEND;VALUE=DATE:20260602"),
        ("DTSTART;VALUE=DATE:20260601", "DURATION:P1W", "DTEND;VALUE=DATE:20260608"),
        ("DTSTART;VALUE=DATE:20260601", "DURATION:PT36H", "DTEND;VALUE=DATE:20260603"),
        ("DTSTART;TZID=Our Office:20260601T090000", "DURATION:PT1H", "DTEND;TZID=Our Office:20260601T100000"),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000",
            "DURATION:P1D",
            "DTEND;TZID=Europe/Berlin:20260329T120000",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260328T120000",
            "DURATION:PT24H",
            "DTEND;TZID=Europe/Berlin:20260329T130000",
        ),
        ("DTSTART;TZID=Europe/Berlin:20261025T013000", "DURATION:PT2H", "DTEND:20261025T013000Z"),
    ],
)
def test_an_event_gets_the_end_that_it_has_without_one(start: str, length: str, end: str) -> None:
    payload = calendar(event(start, *filter(None, (length,)), "SUMMARY:x"))
    assert check_object(payload).lacks_end
    written = with_ends(payload)
    lines = written.decode().splitlines()
    assert lines[lines.index(start) + 1] == end
    assert b"DURATION" not in written
    if "Office" not in start:
        assert spans(busy(written, span=YEAR, zone="Europe/Berlin")) == spans(
            busy(payload, span=YEAR, zone="Europe/Berlin")
        )


@pytest.mark.parametrize("length", ["DURATION:-PT1H", "DURATION:soon"])
def test_an_end_that_nobody_knows_is_not_made_up(length: str) -> None:
    written = with_ends(calendar(event("DTSTART:20260601T090000Z", length)))
    assert b"DTEND" not in written
    assert length.encode() in written
