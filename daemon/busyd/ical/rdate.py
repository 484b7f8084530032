"""RDATE lines -> the times and periods that they add to a series (RFC 5545 §3.8.5.2), and the ends of periods."""

from collections.abc import Iterator
from typing import NamedTuple

from busyd.ical.event import Event, Moment, read_moment, zone_beside
from busyd.ical.limits import MAX_DATES
from busyd.ical.lines import Component, Property, with_whole_zone
from busyd.ical.values import DAY, BadValue, read_duration
from busyd.ical.zones import Zones


class ExtraDate(NamedTuple):
    """One value of an RDATE."""

    moment: Moment
    end: int | None
    """The end of a PERIOD, which has a length of its own; may be before the start."""


class ExtraDates(NamedTuple):
    """All that the RDATEs of a component say."""

    dates: list[ExtraDate]
    unreadable: list[str]
    """Why values could not be read: each is an occurrence at an unknown time."""
    too_many: bool
    """There are more than busyd reads."""


def read_extra_dates(component: Component, zones: Zones, *, master: Event) -> ExtraDates:
    """Every RDATE of the component, whose DTSTART is the master's. Never raises."""
    beside = zone_beside(component, master)
    dates: list[ExtraDate] = []
    unreadable: list[str] = []
    for taken, (parameters, value) in enumerate(_values(component)):
        if taken == MAX_DATES:
            return ExtraDates(dates, unreadable, True)
        first, slash, last = value.partition("/")
        try:
            moment = read_moment((parameters, first), zones, beside=beside)
            end = read_period_end(moment, (parameters, last), zones=zones) if slash else None
        except BadValue as error:
            unreadable.append(str(error))
        else:
            dates.append(ExtraDate(moment, end))
    return ExtraDates(dates, unreadable, False)


def read_period_end(start: Moment, line: Property, *, zones: Zones) -> int:
    """The end of a PERIOD, which is a time or a duration (RFC 5545 §3.3.9); in an unknown zone the latest it may be.

    Raises BadValue.
    """
    text = line[1].strip()
    if not text.upper().lstrip("+-").startswith("P"):
        end = read_moment((line[0], text), zones, beside=None if start.is_date else start.zone)
        return end.instant + end.zone.spread
    length = read_duration(text)
    if not length.days:
        return start.instant + length.seconds + start.zone.spread
    whole_days = start.zone.instant(start.zone.wall(start.instant) + length.days * DAY)
    return whole_days + length.seconds + start.zone.spread


def _values(component: Component) -> Iterator[Property]:
    for parameters, text in map(with_whole_zone, component.properties["RDATE"]):
        for value in text.split(","):
            if value.strip():
                yield parameters, value
