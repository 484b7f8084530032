"""What busyd writes into a calendar, and how it tells its own from what a person has changed."""

from datetime import UTC, datetime
from typing import Final

import icalendar
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from busyd.availability.index import index_object
from busyd.booking.composing import compose
from busyd.booking.rendering import read_content, read_version, with_mark
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState, Details

NOW: Final = Instant(int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()))
ALWAYS: Final = Period(Instant(0), Instant(4_000_000_000))


def at(*parts: int) -> Instant:
    year, month, day, hour, minute = (*parts, 0, 0)[:5]
    return Instant(int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()))


def booking(span: Period | None = None, **details: object) -> Booking:
    known = Details(**{"summary": "Intro call", **details})  # type: ignore[arg-type]
    span = span or Period(at(2026, 12, 1, 9), at(2026, 12, 1, 9, 30))
    made = Booking("1", BookingKind.APPOINTMENT, "anna", BookingState.PENDING, span, NOW, uid="ABCD-1", details=known)
    return replace(made, body=compose(made, zone="Europe/Berlin", now=NOW))


def event_of(body: bytes) -> icalendar.Event:
    calendar = icalendar.Calendar.from_ical(body)
    (event,) = calendar.walk("VEVENT")
    return event  # type: ignore[return-value]


def spans(body: bytes) -> list[tuple[int, int]]:
    return [row[:2] for row in index_object(body, ALWAYS, zone="UTC").rows]


def test_an_appointment_is_written_with_its_zone_and_all_that_a_phone_needs() -> None:
    made = booking(
        description="Line one\nline; two", location="Hall, 3", url="https://example.org/a,b", reminders=(900,),
        classification="PRIVATE",
    )  # fmt: skip
    text = made.body.decode()
    for line in (
        "UID:ABCD-1", "DTSTART;TZID=Europe/Berlin:20261201T100000", "DTEND;TZID=Europe/Berlin:20261201T103000",
        "SUMMARY:Intro call", r"DESCRIPTION:Line one\nline\; two", r"LOCATION:Hall\, 3", "URL:https://example.org/a,b",
        "CLASS:PRIVATE", "STATUS:CONFIRMED", "TRANSP:OPAQUE", "SEQUENCE:0", "CREATED:20261101T120000Z",
        "LAST-MODIFIED:20261101T120000Z", "DTSTAMP:20261101T120000Z", "TRIGGER:-PT15M", "ACTION:DISPLAY",
        "TZID:Europe/Berlin",
    ):  # fmt: skip
        assert f"\r\n{line}\r\n" in text
    assert "METHOD" not in text
    assert "ATTENDEE" not in text
    assert "ORGANIZER" not in text
    assert "COMMENT" not in text


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Tokyo", "America/St_Johns", "UTC", "Australia/Lord_Howe"])
@settings(max_examples=30)
@given(start=st.integers(at(2025, 1, 1), at(2035, 1, 1)), length=st.integers(60, 3 * 86_400))
def test_what_is_written_is_read_back_as_the_same_time(zone: str, start: int, length: int) -> None:
    start -= start % 60
    span = Period(Instant(start), Instant(start + length - length % 60))
    assert spans(compose(booking(span), zone=zone, now=NOW)) == [(span.start, span.end)]


def test_the_second_of_two_hours_that_the_clocks_show_is_written_in_utc() -> None:
    span = Period(at(2026, 10, 25, 1), at(2026, 10, 25, 1, 30))
    made = booking(span)
    assert b"DTSTART:20261025T010000Z" in made.body
    assert spans(made.body) == [(span.start, span.end)]


TEXT = st.text(st.characters(codec="utf-8"), max_size=200)


@given(summary=TEXT, description=TEXT, location=TEXT)
def test_no_text_can_break_out_of_its_line(summary: str, description: str, location: str) -> None:
    made = booking(summary=summary, description=description, location=location)
    assert spans(made.body) == [(made.span.start, made.span.end)]
    assert len(made.body.split(b"\r\nBEGIN:VEVENT\r\n")) == 2
    assert all(len(line) <= 75 for line in made.body.split(b"\r\n"))
    for name, text in (("SUMMARY", summary), ("DESCRIPTION", description)):
        stored = read_content(made.body).texts.get(name, "")
        assert stored == read_content(with_mark(made.body, "m")).texts.get(name, "")
        if text.isascii() and text.isprintable():
            assert stored == text.strip()


def test_a_mark_is_seen_and_changes_nothing_else() -> None:
    made = booking()
    version = read_version(made, with_mark(made.body, "m1"), etag='"e"')
    assert (version.mark, version.edited, version.span, version.etag) == ("m1", False, made.span, '"e"')
    assert event_of(with_mark(made.body, "m1"))["X-BUSYD-MARK"] == "m1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"SUMMARY:Intro call", b"SUMMARY:Intro call, moved"),
        (b"T100000", b"T110000"),
        (b"STATUS:CONFIRMED", b"STATUS:CANCELLED"),
        (b"TRANSP:OPAQUE", b"TRANSP:TRANSPARENT"),
        (b"SEQUENCE:0", b"SEQUENCE:0\r\nLOCATION:Elsewhere"),
        (b"SEQUENCE:0", b"SEQUENCE:0\r\nATTENDEE:mailto:ben@example.org"),
        (b"SEQUENCE:0", b"SEQUENCE:0\r\nRRULE:FREQ=DAILY;COUNT=3"),
        (b"DTSTART;", b"X-START;"),
    ],
)
def test_what_a_person_changed_is_seen(old: bytes, new: bytes) -> None:
    made = booking()
    assert old in made.body
    assert read_version(made, with_mark(made.body, "m").replace(old, new), etag="").edited


def test_what_a_server_spells_otherwise_is_no_change() -> None:
    made = booking(description="a" * 200)
    written = with_mark(made.body, "m").replace(b"TRANSP:OPAQUE\r\n", b"X-OTHER;X=1:2\r\nTRANSP:OPAQUE\r\n")
    in_utc = written.replace(b"DTSTART;TZID=Europe/Berlin:20261201T100000", b"DTSTART:20261201T090000Z")
    in_utc = in_utc.replace(b"DTSTAMP:20261101T120000Z", b"DTSTAMP:20261101T120500Z")
    assert not read_version(made, in_utc.replace(b"\r\n", b"\n"), etag="").edited


def test_an_event_that_recurs_now_has_no_single_time() -> None:
    made = booking()
    recurring = made.body.replace(b"SEQUENCE:0", b"SEQUENCE:0\r\nRRULE:FREQ=DAILY;COUNT=3")
    assert read_version(made, recurring, etag="").span is None


def test_a_day_that_a_person_has_made_of_it_is_one_of_the_profile() -> None:
    made = booking()
    lines = with_mark(made.body, "m").split(b"\r\n")
    days = {b"DTSTART": b"DTSTART;VALUE=DATE:20261201", b"DTEND": b"DTEND;VALUE=DATE:20261202"}
    event = lines.index(b"BEGIN:VEVENT")
    changed = [*lines[:event], *(days.get(line.partition(b";")[0], line) for line in lines[event:])]
    version = read_version(made, b"\r\n".join(changed), etag='"e"', zone="Europe/Berlin")
    assert version.span == Period(Instant(1_796_079_600), Instant(1_796_166_000))  # 2026-11-30T23:00:00Z
