"""When an event says that it was created and last changed."""

import pytest

from busyd.ical.stamps import Stamps, stamps_of
from busyd.period import Instant

DAY = 86_400


def stamped(*lines: str, more: str = "") -> bytes:
    event = "\r\n".join(("BEGIN:VEVENT", "UID:a", *lines, "END:VEVENT"))
    return f"BEGIN:VCALENDAR\r\nCREATED:19700109T000000Z\r\n{event}\r\n{more}END:VCALENDAR\r\n".encode()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("CREATED:19700102T000000Z", "LAST-MODIFIED:19700103T000000Z"), Stamps(Instant(DAY), Instant(2 * DAY))),
        (("last-modified;x-a=b:19700103T000000Z",), Stamps(None, Instant(2 * DAY))),
        (("CREATED:19700102T000000",), Stamps()),  # RFC 5545 §3.8.7.1: it must be UTC
        (("CREATED:00000000T000000Z", "LAST-MODIFIED:soon"), Stamps()),
        (("CREATED:197001\r\n 02T000000Z",), Stamps(Instant(DAY))),
        (("BEGIN:VALARM", "CREATED:19700102T000000Z", "END:VALARM"), Stamps()),
    ],
)
def test_only_what_an_event_itself_says_in_utc_is_read(lines: tuple[str, ...], expected: Stamps) -> None:
    assert stamps_of(stamped(*lines)) == expected


def test_of_several_events_the_first_creation_and_the_last_change_count() -> None:
    other = "BEGIN:VEVENT\r\nCREATED:19700101T000000Z\r\nLAST-MODIFIED:19700105T000000Z\r\nEND:VEVENT\r\n"
    payload = stamped("CREATED:19700102T000000Z", "LAST-MODIFIED:19700103T000000Z", more=other)
    assert stamps_of(payload) == Stamps(Instant(0), Instant(4 * DAY))
