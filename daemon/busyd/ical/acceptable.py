"""Whether bytes are a calendar object resource that a collection of events may hold (RFC 4791 §4.1). Nothing is mended,
but for an end that is missing.
"""

from enum import StrEnum
from typing import NoReturn

from msgspec import Struct

from busyd.errors import DataError
from busyd.ical.compose import to_utc
from busyd.ical.lines import read_parameters
from busyd.ical.tree import ComponentTree, Line, read_tree, write_tree
from busyd.ical.values import DAY, BadValue, Length, read_duration, read_time
from busyd.ical.zones import UTC, find_zone


class Defect(StrEnum):
    """What keeps an object from being one, by the names of RFC 4791 §5.3.2.1."""

    DATA = "valid-calendar-data"
    OBJECT = "valid-calendar-object-resource"
    COMPONENT = "supported-calendar-component"


class Unacceptable(DataError):
    """The text says what is wrong."""

    def __init__(self, defect: Defect, why: str) -> None:
        super().__init__(why)
        self.defect = defect


class AcceptableObject(Struct, frozen=True):
    """What was found in an object that is one."""

    uid: str
    lacks_end: bool
    """Some event has no DTEND."""


def check_object(payload: bytes) -> AcceptableObject:
    """Raises Unacceptable."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        _refuse(Defect.DATA, "it is not UTF-8")
    calendars = [component for component in read_tree(payload).inside if component.name == "VCALENDAR"]
    if len(calendars) != 1 or not payload.rstrip().upper().endswith(b"END:VCALENDAR"):
        _refuse(Defect.DATA, "it is not one whole VCALENDAR")
    (calendar,) = calendars
    if _values(calendar, "VERSION") != ["2.0"]:
        _refuse(Defect.DATA, "its VERSION is not 2.0")
    if _values(calendar, "METHOD"):
        _refuse(Defect.OBJECT, "it has a METHOD")
    events = [component for component in calendar.inside if component.name != "VTIMEZONE"]
    foreign = sorted({component.name for component in events} - {"VEVENT"})
    if foreign:
        _refuse(Defect.COMPONENT, f"it has {foreign[0][:40]} components")
    if not events:
        _refuse(Defect.OBJECT, "it has no event")
    uids = {uid.strip() for event in events for uid in _values(event, "UID") or [""]}
    if len(uids) != 1 or not all(uids):
        _refuse(Defect.OBJECT, "its events have no UID, or not all the same")
    for event in events:
        _check_start(event)
    if sum(not _values(event, "RECURRENCE-ID") for event in events) > 1:
        _refuse(Defect.OBJECT, "it has two events that are not changes of one series")
    return AcceptableObject(uids.pop(), any(map(_lacks_end, events)))


def with_ends(payload: bytes) -> bytes:
    """The same with a DTEND in every event that has none: what its DURATION comes to, or RFC 5545 §3.6.1 says. The rest
    is as it was, but for folds and the case of names.
    """
    tree = read_tree(payload)
    for calendar in tree.inside:
        for event in calendar.inside:
            if event.name == "VEVENT" and _lacks_end(event):
                event.lines = _ended(event)
    return write_tree(tree)


def _ended(event: ComponentTree) -> list[Line]:
    """The lines with a DTEND behind DTSTART; as they are when their DURATION cannot be read, or is negative."""
    ((_, parameters, value),) = [line for line in event.lines if line[0] == "DTSTART"]
    durations = _values(event, "DURATION")
    try:
        length = read_duration(durations[0].strip()) if durations else Length()
    except BadValue:
        return event.lines
    if length.total < 0:
        return event.lines
    end = ("DTEND", *_end(parameters, value.strip(), length=length))
    kept = [line for line in event.lines if line[0] != "DURATION"]
    return [line for one in kept for line in ((one, end) if one[0] == "DTSTART" else (one,))]


def _end(parameters: str, start: str, *, length: Length) -> tuple[str, str]:
    """The parameters and the value of a DTEND. The seconds of a DURATION are exact, also where the clocks change."""
    wall, is_date, is_utc = read_time(start)
    if is_date:
        days = length.days + -(-length.seconds // DAY)
        return parameters, to_utc(wall + max(days, 1) * DAY)[:8]
    zone = UTC if is_utc else find_zone(read_parameters(parameters).get("TZID", "")) or UTC
    instant = zone.instant(wall + length.days * DAY) + length.seconds
    last = zone.wall(instant)
    if zone.instant(last) != instant:  # the second of two times that the clock shows
        return "", to_utc(instant)
    return parameters, to_utc(last) if is_utc else to_utc(last).removesuffix("Z")


def _check_start(event: ComponentTree) -> None:
    starts = _values(event, "DTSTART")
    if len(starts) != 1:
        _refuse(Defect.DATA, "an event needs one DTSTART")
    try:
        read_time(starts[0].strip())
    except BadValue as error:
        _refuse(Defect.DATA, f"a DTSTART cannot be read: {error}")


def _lacks_end(event: ComponentTree) -> bool:
    return not _values(event, "DTEND")


def _values(component: ComponentTree, name: str) -> list[str]:
    return [value for known, _, value in component.lines if known == name]


def _refuse(defect: Defect, why: str) -> NoReturn:
    raise Unacceptable(defect, why)
