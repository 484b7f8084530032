"""What reports of a server leave out of an object, and apps need."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import icalendar
import pytest

from busyd.ical.completing import completed
from busyd.ical.compose_zone import timezone_lines
from busyd.ical.zones import reading_zone


def stripped(*lines: str) -> bytes:
    """An object as iCloud hands it out in a report."""
    event = ("BEGIN:VEVENT", "UID:1", "DTSTAMP:20260101T000000Z", *lines, "END:VEVENT")
    return "\r\n".join(("BEGIN:VCALENDAR", *event, "END:VCALENDAR", "")).encode()


def test_an_object_without_version_and_zones_gets_them() -> None:
    text = completed(stripped("DTSTART;TZID=Europe/Berlin:20260602T120000", "DURATION:PT1H")).payload.decode()
    calendar = icalendar.Calendar.from_ical(text)
    assert (calendar["version"], bool(calendar["prodid"])) == ("2.0", True)
    assert [zone["tzid"] for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
    assert text.index("END:VTIMEZONE") < text.index("BEGIN:VEVENT")


def test_the_same_object_always_becomes_the_same_bytes_and_a_whole_one_stays_as_it_is() -> None:
    payload = stripped("DTSTART;TZID=Europe/Berlin:20260602T120000", "RRULE:FREQ=WEEKLY", "DURATION:PT1H")
    assert completed(payload) == completed(payload) == completed(completed(payload).payload)


def test_every_zone_that_a_time_names_is_defined_once() -> None:
    text = completed(
        stripped(
            "DTSTART;TZID=Europe/Berlin:20260602T120000",
            "DTEND;TZID=America/New_York:20260602T120000",
            'EXDATE;TZID="W. Europe Standard Time":20260603T120000,20260604T120000',
            "RDATE;VALUE=DATE-TIME;TZID=Europe/Berlin:20260605T120000",
        )
    ).payload.decode()
    zones = [str(zone["tzid"]) for zone in icalendar.Calendar.from_ical(text).walk("VTIMEZONE")]
    assert zones == ["Europe/Berlin", "America/New_York", "W. Europe Standard Time"]


def test_a_text_that_looks_like_a_time_names_no_zone() -> None:
    payload = stripped("DTSTART;TZID=Europe/Berlin:20260602T120000", "DESCRIPTION:see X;TZID=Nowhere:20260602T120000")
    text, lacks_a_zone = completed(payload)
    zones = [str(zone["tzid"]) for zone in icalendar.Calendar.from_ical(text).walk("VTIMEZONE")]
    assert (zones, lacks_a_zone) == (["Europe/Berlin"], False)


def test_a_series_that_goes_on_has_the_changes_of_the_clocks_of_decades() -> None:
    text = completed(stripped("DTSTART;TZID=Europe/Berlin:20260602T120000", "RRULE:FREQ=WEEKLY")).payload.decode()
    assert "20560326T020000" in text.replace("\r\n ", "")


@pytest.mark.parametrize(
    "payload",
    [
        stripped("DTSTART:20260602T120000Z").replace(b"BEGIN:VEVENT", b"VERSION:2.0\r\nPRODID:x\r\nBEGIN:VEVENT"),
        b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n",
        b"BEGIN:VEVENT\r\nDTSTART;TZID=Europe/Berlin:20260602T120000\r\nEND:VEVENT\r\n",
        stripped("DTSTART:20260602T120000Z") * 2,
        b"<html>",
        b"",
    ],
)
def test_nothing_is_added_to_what_is_whole_or_cannot_be_made_so(payload: bytes) -> None:
    assert completed(payload).payload == payload


def test_a_zone_that_only_the_object_itself_could_define_is_missed() -> None:
    payload = stripped("DTSTART;TZID=Our Office:20260602T120000")
    assert completed(payload).lacks_a_zone
    assert b"VTIMEZONE" not in completed(payload).payload
    definition = b"BEGIN:VTIMEZONE\r\nTZID:Our Office\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT"
    assert not completed(payload.replace(b"BEGIN:VEVENT", definition)).lacks_a_zone
    described = stripped("DTSTART;TZID=Europe/Berlin:20260602T120000", "DESCRIPTION:;TZID=Our Office:2026")
    assert not completed(described).lacks_a_zone


@pytest.mark.parametrize(
    "line", ["EXDATE" + ";TZID=Europe/Berlin" * 13_000, "EXDATE;TZID=Europe/Berlin:2026\r\n" * 99_999]
)
def test_an_object_made_to_exhaust_us_is_not_looked_at_for_long(line: str) -> None:
    payload = stripped("DTSTART:20260602T120000Z", line)
    assert not completed(payload).lacks_a_zone
    assert b"VTIMEZONE" not in completed(payload).payload


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Chatham", "UTC"]
)
def test_the_clocks_change_when_they_do(name: str) -> None:
    """RFC 5545 §3.6.5: onsets are written as the clock showed them before the change."""
    text = timezone_lines(reading_zone(name), tzid=name, first=2024, last=2027).decode().replace("\r\n ", "")
    onsets = {}
    for observance in text.split("BEGIN:")[3:]:
        found = dict(line.split(":", 1) for line in observance.splitlines()[1:-1] if ":" in line)
        before, after = (_offset(found[f"TZOFFSET{side}"]) for side in ("FROM", "TO"))
        for wall in (found["DTSTART"], *found.get("RDATE", "").split(",")):
            if wall:
                onsets[datetime.strptime(f"{wall}Z", "%Y%m%dT%H%M%S%z") - before] = (before, after)
    hours = (datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(minutes=30 * step) for step in range(2 * 24 * 365 * 4))
    offsets = {hour: hour.astimezone(ZoneInfo(name)).utcoffset() for hour in hours}
    half = timedelta(minutes=30)
    changes = {
        hour: (offsets[hour - half], offset)
        for hour, offset in offsets.items()
        if offsets.get(hour - half, offset) != offset
    }
    assert onsets == changes


def _offset(written: str) -> timedelta:
    minutes = timedelta(hours=int(written[1:3]), minutes=int(written[3:5]))
    return -minutes if written[0] == "-" else minutes
