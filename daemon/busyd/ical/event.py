"""One component -> its start, its length and its facts, however malformed it is.

Nothing is expanded here. What cannot be parsed is either a doubt (the start is known, the end is not) or an error.
"""

from functools import lru_cache
from typing import NamedTuple

from msgspec.structs import replace

from busyd.errors import DataError
from busyd.ical.facts import Facts, facts_of
from busyd.ical.limits import MAX_LENGTH
from busyd.ical.lines import Component, Property, read_parameters, with_whole_zone
from busyd.ical.values import DAY, BadValue, date_of_utc, read_duration, read_time
from busyd.ical.zones import UTC, Zone, Zones


class UnreadableEvent(DataError):
    """A component without a usable DTSTART: its time is entirely unknown."""


class Moment(NamedTuple):
    """A DATE or DATE-TIME in its zone; for a DATE, the wall time is its midnight and the zone the reader's."""

    wall: int
    zone: Zone
    is_date: bool

    @property
    def instant(self) -> int:
        return self.zone.instant(self.wall)


class Event(NamedTuple):
    """A component with a known start. Its length is `days` on the wall clock, then exact `seconds`."""

    wall: int
    zone: Zone
    is_date: bool
    start: int
    """The instant of `wall`."""
    days: int
    seconds: int
    facts: Facts
    odd: str = ""
    """What could not be used as written, as a sentence."""

    def end(self, start: int, wall: int) -> int:
        """The end of an occurrence that starts at the instant; `wall` is its start on the wall clock of the series.

        Computed from the UTC start, never by adding to a wall clock time that may not exist; only whole days of a DATE
        event are local days from midnight to midnight.
        """
        if not self.days:
            return start + self.seconds
        if self.is_date:
            return self.zone.instant(wall + self.days * DAY)
        return self.zone.instant(self.zone.wall(start) + self.days * DAY) + self.seconds


def read_moment(line: Property, zones: Zones, *, beside: Zone | None = None) -> Moment:
    """Parse a DATE or DATE-TIME value by its form alone, whatever VALUE says. Raises BadValue.

    A `Z` takes precedence over a TZID. `beside` is the zone of the event's DTSTART, in which the other times of the
    event are read where they name none. An unknown TZID is noted in `zones.unknown`.
    """
    parameters, text = line
    try:
        wall, is_date, is_utc = read_time(text.strip())
    except BadValue:
        whole = with_whole_zone(line)
        if whole == line:
            raise
        return read_moment(whole, zones, beside=beside)
    if is_date:
        return Moment(wall, zones.of_date(), True)
    tzid = None
    if parameters:
        tzid, is_value_date = _read_time_parameters(parameters)
        if is_value_date:
            zones.notes["a date and time is marked as VALUE=DATE; its time counts all the same"] = None
    if is_utc:
        return Moment(wall, UTC, False)
    if tzid or beside is None:
        return Moment(wall, zones.of_time(tzid), False)
    zones.notes[f"a time that names no time zone is read in that of DTSTART, {beside.name}"] = None
    return Moment(wall, beside, False)


@lru_cache(maxsize=1024)
def _read_time_parameters(parameters: str) -> tuple[str | None, bool]:
    """TZID, and whether VALUE is DATE."""
    named = read_parameters(parameters)
    return named.get("TZID"), named.get("VALUE", "").upper() == "DATE"


def read_event(component: Component, zones: Zones, *, cancelled: bool) -> Event:
    """Read a VEVENT or AVAILABLE. Raises UnreadableEvent when there is no usable DTSTART.

    An event that ends before it starts has no length. One whose end cannot be parsed is assumed to last a day and is
    marked as not understood. So is one whose zone nobody knows: it lasts from the earliest to the latest it may mean.
    """
    lines = component.properties.get("DTSTART")
    if not lines:
        raise UnreadableEvent("it has no DTSTART")
    try:
        begin = read_moment(_only(lines), zones)
    except BadValue as error:
        message = f"its DTSTART cannot be read: {error}"
        raise UnreadableEvent(message) from error
    wall, zone, is_date = begin
    start = zone.instant(wall)
    facts = facts_of(component, all_day=is_date, cancelled=cancelled)
    odd = ""
    try:
        days, seconds, end_zone = _length(component, zones, begin=begin, start=start)
    except BadValue as error:
        odd = f"its end cannot be read: {error}"
        days, seconds, end_zone = (1, 0, zone) if is_date else (0, DAY, zone)
        facts = replace(facts, unknown=odd)
    if end_zone.spread and end_zone is not zone:
        seconds += end_zone.spread
    if days < 0 or seconds < 0:
        odd, days, seconds = "it ends before it starts", 0, 0
        facts = replace(facts, travel_before=0, travel_after=0)  # no travel to an event whose end is unknown
    elif (zone.spread or end_zone.spread) and (days or seconds or facts.travel_before or facts.travel_after):
        if end_zone is zone:
            seconds += zone.spread
        facts = replace(
            facts,
            unknown=facts.unknown or f"its time zone {(zone if zone.spread else end_zone).name[:60]!r} is unknown",
        )
    return Event(wall, zone, is_date, start, min(days, MAX_LENGTH // DAY), min(seconds, MAX_LENGTH), facts, odd)


def _length(component: Component, zones: Zones, *, begin: Moment, start: int) -> tuple[int, int, Zone]:
    """(days, seconds, the zone of the end); a number is negative when the end is first. DTEND wins over DURATION."""
    properties = component.properties
    if "DTEND" in properties:
        try:
            line = _only(properties["DTEND"])
            names_zone = "TZID" in line[0] or line[1].endswith("Z")
            beside = None if names_zone else zone_beside(component, begin)
            end = read_moment(line, zones, beside=beside)
        except BadValue:
            if "DURATION" not in properties:
                raise
        else:
            if begin.is_date:
                # An end with a time counts by its date, and an end on the first day still means one day.
                last = date_of_utc(end.wall) if end.zone is UTC and not end.is_date else end.wall // DAY
                return (last - begin.wall // DAY) or 1, 0, begin.zone
            if not end.is_date:
                return 0, end.instant - start, end.zone
            # A date in place of a time is its midnight; on the day of the start only the next one makes sense.
            same_day = end.wall == begin.wall // DAY * DAY
            return 0, begin.zone.instant(end.wall + DAY * same_day) - start, begin.zone
    if "DURATION" in properties:
        length = read_duration(_only(properties["DURATION"])[1].strip())
        if begin.is_date and length.total >= 0:
            return (length.days + -(-length.seconds // DAY)) or (0 if length.total else 1), 0, begin.zone
        return length.days, length.seconds, begin.zone
    return (1 if begin.is_date else 0), 0, begin.zone


def _only(lines: list[Property]) -> Property:
    """The line of a property that may be there once. Raises BadValue when another one says something else."""
    first = lines[0]
    if len(lines) > 1 and any(line != first for line in lines):
        message = f"it is there twice, as {first[1][:30]!r} and otherwise"
        raise BadValue(message)
    return first


def zone_beside(component: Component, begin: Moment | Event) -> Zone | None:
    """The zone that DTSTART gives the other times of its event; None when it is a DATE, or floating itself."""
    if begin.is_date:
        return None
    parameters, _ = component.properties["DTSTART"][0]
    return begin.zone if begin.zone is UTC or (parameters and _read_time_parameters(parameters)[0]) else None
