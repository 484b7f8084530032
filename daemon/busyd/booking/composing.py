"""Composes what is written to a calendar, with `icalendar`. Takes a while to import: in a thread, at the first use."""

from datetime import UTC, datetime, timedelta
from typing import Final

from icalendar import Alarm, Calendar, Event, vCalAddress

from busyd.ical.compose import PRODID, clean_text
from busyd.ical.compose_zone import timezone_lines
from busyd.ical.zones import reading_zone
from busyd.period import FbType, Instant, Period
from busyd.store.bookings import Booking, Details

_DAY: Final = 86_400
_BEGIN: Final = b"BEGIN:VEVENT\r\n"


def compose(booking: Booking, *, zone: str, now: Instant, with_guests: bool = False) -> bytes:
    """The object of an appointment or a block, without a mark. `zone` is an IANA name.

    Never with METHOD (RFC 4791 §4.1), always with DTEND (iCloud answers 404 without). Guests become ATTENDEEs only
    when that is asked for: from then on the calendar's own server mails them (RFC 6638 §3.2.1).
    """
    details, span = booking.details, booking.span
    calendar, event = Calendar(), Event()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    event.add("uid", booking.uid)
    event.add("dtstamp", _utc(now))
    event.add("created", _utc(booking.created))
    event.add("last-modified", _utc(now))
    event.add("sequence", booking.sequence)
    _add_time(event, "dtstart", instant=span.start, zone=zone)
    _add_time(event, "dtend", instant=span.end, zone=zone)
    for name, text in (("summary", details.summary), ("description", details.description)):
        if text:
            event.add(name, clean_text(text))
    if details.location:
        event.add("location", clean_text(details.location))
    if details.url:
        event.add("url", details.url)
    if details.classification:
        event.add("class", details.classification)
    event.add("status", "TENTATIVE" if details.tentative else "CONFIRMED")
    event.add("transp", "OPAQUE")
    if booking.fbtype == FbType.BUSY_UNAVAILABLE:
        event.add("x-microsoft-cdo-busystatus", "OOF")
    if with_guests:
        _add_guests(event, booking)
    for reminder in details.reminders:
        event.add_component(_alarm(details, reminder))
    calendar.add_component(event)
    body = bytes(calendar.to_ical())
    if any(_is_local(moment, zone) for moment in (span.start, span.end)):
        body = body.replace(_BEGIN, _timezone(span, zone) + _BEGIN, 1)
    return body


def _add_guests(event: Event, booking: Booking) -> None:
    """The organizer is a guest, too, as Apple's own apps write it."""
    organizer = vCalAddress(f"mailto:{booking.organizer}")
    event.add("organizer", organizer)
    host = {"CUTYPE": "INDIVIDUAL", "ROLE": "CHAIR", "PARTSTAT": "ACCEPTED"}
    event.add("attendee", vCalAddress(organizer), parameters=host)
    for guest in booking.details.guests:
        asked = {"CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": "NEEDS-ACTION", "RSVP": "TRUE"}
        named = {"CN": _parameter(guest.name)} if guest.name.strip() else {}
        event.add("attendee", vCalAddress(f"mailto:{guest.email}"), parameters={**named, **asked})


def _parameter(text: str) -> str:
    """RFC 5545 §3.2: a value has neither double quotes nor control characters."""
    return "".join(" " if not one.isprintable() else "'" if one == '"' else one for one in text).strip()


def _add_time(event: Event, name: str, *, instant: Instant, zone: str) -> None:
    """Wall time by the rules with which it will be read back, or UTC."""
    if _is_local(instant, zone):
        wall = datetime.fromtimestamp(reading_zone(zone).wall(instant), UTC).replace(tzinfo=None)
        event.add(name, wall, parameters={"TZID": zone})
    else:
        event.add(name, _utc(instant))


def _is_local(instant: Instant, zone: str) -> bool:
    """Whether the moment can be written with the zone: UTC needs none, and of an hour that the clocks show twice only
    the first can be written (RFC 5545 §3.3.5).
    """
    known = reading_zone(zone)
    return zone != "UTC" and known.instant(known.wall(instant)) == instant


def _utc(instant: Instant) -> datetime:
    return datetime.fromtimestamp(instant, UTC)


def _timezone(span: Period, zone: str) -> bytes:
    """The changes of the clocks around the event."""
    first = datetime.fromtimestamp(span.start - 366 * _DAY, UTC).year
    last = datetime.fromtimestamp(span.end + 366 * _DAY, UTC).year
    return timezone_lines(reading_zone(zone), tzid=zone, first=first, last=last)


def _alarm(details: Details, reminder: int) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", clean_text(details.summary) or "Reminder")
    alarm.add("trigger", timedelta(seconds=-reminder))
    return alarm
