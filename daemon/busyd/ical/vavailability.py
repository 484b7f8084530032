"""VAVAILABILITY (RFC 7953) -> the time that is not available inside a window. Events are added elsewhere.

PRIORITY 1 is the highest, 9 the lowest, 0 or none lower still: a component decides over its whole span, and lower ones
over what is left. Of two with equal PRIORITY, both count: time that is busy in either is busy.
"""

from typing import Final

from msgspec import Struct

from busyd.ical.event import read_moment
from busyd.ical.facts import Problem, ProblemKind
from busyd.ical.lines import CalendarText, Component
from busyd.ical.parse import CalendarObject, group_components, parse_object
from busyd.ical.rdate import read_period_end
from busyd.ical.recurrence import expand
from busyd.ical.values import BadValue
from busyd.ical.zones import NO_OWN_ZONES, OwnZones, Zones, reading_zone
from busyd.period import FbType, Period, Span, coalesce, subtract


class Unavailable(Struct, frozen=True):
    """The result of VAVAILABILITY components for a window."""

    spans: list[Span]
    """Where the person is not available, by BUSYTYPE; they may overlap."""
    problems: tuple[Problem, ...]


def read_availability(payload: bytes, window: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES) -> Unavailable:
    """Parse all VAVAILABILITY components of a text. Never raises because of its content.

    An AVAILABLE part that cannot be parsed makes nobody available. A component without DTSTART or DTEND is unbounded on
    that side. DATE and floating values, which the RFC forbids, are read in `zone`.
    """
    parsed, reader = parse_object(payload), reading_zone(zone)
    problems = list(parsed.problems)
    by_priority: dict[int, list[tuple[Component, CalendarText]]] = {}
    for calendar in parsed.calendars:
        for component in calendar.availability:
            by_priority.setdefault(_priority(component), []).append((component, calendar.text))
    if not by_priority:
        problems.append(Problem(ProblemKind.UNREADABLE, parsed.uid, "it contains no VAVAILABILITY"))
    spans: list[Span] = []
    left = [(int(window.start), int(window.end))]
    for priority in sorted(by_priority):
        decided: list[tuple[int, int]] = []
        for component, text in by_priority[priority]:
            zones = Zones(reader, text.zones, x_wr_timezone=text.value("X-WR-TIMEZONE"), own=own_zones)
            span = _bounds(component, zones, window=window, problems=problems)
            if span is None:
                continue
            decided.append(span)
            available = _available(component, text, window=window, zone=zone, own_zones=own_zones, problems=problems)
            outside = subtract([span], available)
            fbtype = _BUSYTYPES.get(component.value("BUSYTYPE").upper(), FbType.BUSY_UNAVAILABLE)
            spans += [(start, end, int(fbtype)) for start, end in _common(outside, left)]
        left = subtract(left, coalesce(decided))
    return Unavailable(spans, tuple(problems))


_BUSYTYPES: Final = {member.text: member for member in FbType if member is not FbType.FREE}


def _priority(component: Component) -> int:
    text = component.value("PRIORITY")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    return number or 10


def _bounds(component: Component, zones: Zones, *, window: Period, problems: list[Problem]) -> tuple[int, int] | None:
    """The span of a component inside the window, or None when they do not meet; the longest where a zone is unknown."""
    start, end = int(window.start), int(window.end)
    properties = component.properties
    try:
        begin = read_moment(properties["DTSTART"][0], zones) if "DTSTART" in properties else None
        if begin is not None:
            start = max(start, begin.instant)
        if "DTEND" in properties:
            finish = read_moment(properties["DTEND"][0], zones)
            end = min(end, finish.instant + finish.zone.spread)
        elif "DURATION" in properties and begin is not None:
            end = min(end, read_period_end(begin, properties["DURATION"][0], zones=zones))
    except BadValue as error:
        reason = f"the bounds of a VAVAILABILITY cannot be read, so it counts as unbounded: {error}"
        problems.append(Problem(ProblemKind.BAD_TIME, component.value("UID"), reason))
        return int(window.start), int(window.end)
    return (start, end) if start < end else None


def _available(
    component: Component,
    text: CalendarText,
    *,
    window: Period,
    zone: str,
    own_zones: OwnZones,
    problems: list[Problem],
) -> list[tuple[int, int]]:
    """The AVAILABLE occurrences of a component; they recur like events, with overrides."""
    parts = CalendarText(properties=text.properties, components=component.inside, zones=text.zones, closed=True)
    periods = CalendarObject()
    periods.calendars.append(group_components(parts, periods))
    expansion = expand(periods, window, zone=zone, own_zones=own_zones)
    problems += expansion.problems
    usable = [not facts.unknown and facts.status != "CANCELLED" for facts in expansion.facts]
    return coalesce((start, end) for start, end, number in expansion.rows if usable[number])


def _common(spans: list[tuple[int, int]], others: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return subtract(spans, subtract(spans, others))
