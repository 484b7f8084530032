"""Working hours as a VAVAILABILITY (RFC 7953). Imports icalendar, which takes a tenth of a second."""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from icalendar import Availability, Available, Calendar, Timezone

from busyd.availability.hours import Hours, MinuteSpan
from busyd.ical.compose import PRODID
from busyd.ical.compose_zone import timezone_lines
from busyd.ical.zones import reading_zone

_YEARS: Final = 5
"""How far ahead the changes of the clocks are told."""


def availability_of(hours: Hours, *, zone: str, name: str, now: int) -> bytes:
    """A calendar with the hours as they are each week, and the days that differ. The same for the whole of a year."""
    year = datetime.fromtimestamp(now, UTC).year - 1
    stamp = datetime(year, 1, 1, tzinfo=UTC)
    monday = date(year, 1, 1) + timedelta(days=-date(year, 1, 1).weekday() % 7)
    calendar, availability = Calendar(), Availability()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    availability.add("uid", f"hours-{name}@busyd")
    availability.add("dtstamp", stamp)
    availability.add("busytype", "BUSY-UNAVAILABLE")
    number = 0
    for day, spans in _days(hours, monday):
        for span in spans:
            number += 1
            available = _available(day, span=span, zone=zone)
            available.add("uid", f"hours-{name}-{number}@busyd")
            available.add("dtstamp", stamp)
            if day < monday + timedelta(days=7) and day not in hours.exceptions:
                available.add("rrule", {"freq": "weekly"})
                _exclude(available, day, span=span, hours=hours, zone=zone)
            availability.add_component(available)
    if zone != "UTC":
        lines = timezone_lines(reading_zone(zone), tzid=zone, first=year, last=year + 1 + _YEARS)
        calendar.add_component(Timezone.from_ical(lines))
    calendar.add_component(availability)
    return bytes(calendar.to_ical())


def _days(hours: Hours, monday: date) -> Iterable[tuple[date, tuple[MinuteSpan, ...]]]:
    yield from ((monday + timedelta(days=weekday), spans) for weekday, spans in enumerate(hours.weekdays))
    yield from _later(hours.exceptions, monday)


def _later(
    exceptions: Mapping[date, tuple[MinuteSpan, ...]], monday: date
) -> Iterable[tuple[date, tuple[MinuteSpan, ...]]]:
    return ((day, spans) for day, spans in sorted(exceptions.items()) if day >= monday + timedelta(days=7))


def _available(day: date, *, span: MinuteSpan, zone: str) -> Available:
    available = Available()
    for name, minutes in zip(("dtstart", "dtend"), span, strict=True):
        _add_time(available, name, wall=_wall(day, minutes), zone=zone)
    return available


def _exclude(available: Available, day: date, *, span: MinuteSpan, hours: Hours, zone: str) -> None:
    """Leave out the days that have hours of their own."""
    for exception in sorted(hours.exceptions):
        if exception > day and exception.weekday() == day.weekday():
            _add_time(available, "exdate", wall=_wall(exception, span[0]), zone=zone)


def _add_time(available: Available, name: str, *, wall: datetime, zone: str) -> None:
    if zone == "UTC":
        available.add(name, wall.replace(tzinfo=UTC))
    else:
        available.add(name, wall, parameters={"TZID": zone})


def _wall(day: date, minutes: int) -> datetime:
    return datetime.combine(day, time()) + timedelta(minutes=minutes)
