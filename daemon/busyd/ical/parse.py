"""A payload -> its events, grouped into series. No zones are looked up, nothing is expanded."""

from collections.abc import Callable, Hashable, Iterable

from msgspec import Struct, field

from busyd.ical.facts import Problem, ProblemKind
from busyd.ical.limits import MAX_OBJECT_BYTES
from busyd.ical.lines import CalendarText, Component, read_calendars


class Series(Struct):
    """The events of one UID in one calendar: masters and overrides."""

    uid: str
    masters: list[Component] = field(default_factory=list)
    overrides: list[Component] = field(default_factory=list)


class GroupedCalendar(Struct):
    """One VCALENDAR of an object."""

    text: CalendarText
    series: list[Series] = field(default_factory=list)
    freebusy: list[Component] = field(default_factory=list)
    availability: list[Component] = field(default_factory=list)

    @property
    def is_cancelled(self) -> bool:
        """METHOD:CANCEL: every event in it is cancelled (RFC 5546 §3.2.5)."""
        return self.text.value("METHOD").upper() == "CANCEL"

    def is_cancelling(self, component: Component) -> bool:
        """Whether the event is cancelled."""
        return self.is_cancelled or component.value("STATUS").upper() == "CANCELLED"

    def blocks_nothing(self, component: Component) -> bool:
        """Whether the event blocks no time, whenever it is."""
        return self.is_cancelling(component) or component.value("TRANSP").upper() == "TRANSPARENT"


class CalendarObject(Struct):
    """Everything in one payload that matters for busy time: usually one calendar with one series."""

    uid: str = ""
    """The first UID; empty when there is none."""
    calendars: list[GroupedCalendar] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    has_availability: bool = False
    """It contains VAVAILABILITY components."""
    cut_short: str = ""
    """Not empty: the payload ends early, for the reason stated here."""
    damage: str = ""
    """Not empty: a part of the payload is lost, or was never in it, for the reason stated here."""
    refused: str = ""
    """Not empty: the payload exceeds a bound and was not parsed, for the reason stated here."""


def parse_object(payload: bytes) -> CalendarObject:
    """Parse a calendar object. Never raises, whatever the bytes; oddities are listed in `problems`.

    Time and memory grow with the size of the payload, which is bounded (`limits.MAX_OBJECT_BYTES`).
    """
    parsed = CalendarObject()
    if len(payload) > MAX_OBJECT_BYTES:
        parsed.refused = f"the object has {len(payload)} bytes, more than busyd reads"
        return parsed
    has_reply = False
    for text in read_calendars(payload):
        # RFC 5546 §3.2.3: a reply states somebody else's answer; it is not an event of this calendar.
        if text.properties and text.value("METHOD").upper() == "REPLY":
            has_reply = True
            continue
        if not text.closed:
            parsed.cut_short = "the object is cut short: END:VCALENDAR is missing"
        if text.strays:
            _note_damage(parsed, "a part of an event is outside of any component, or outside of any calendar", uid="")
        parsed.calendars.append(group_components(text, parsed))
        parsed.problems += [Problem(ProblemKind.FORGIVEN, parsed.uid, oddity) for oddity in text.oddities]
    if not parsed.calendars and not has_reply:
        parsed.cut_short = "this is not an iCalendar object"
    if parsed.cut_short:
        _note_damage(parsed, parsed.cut_short, uid=parsed.uid)
    return parsed


def _note_damage(parsed: CalendarObject, why: str, *, uid: str) -> None:
    parsed.damage = parsed.damage or why
    parsed.problems.append(Problem(ProblemKind.UNREADABLE, uid, why))


def group_components(text: CalendarText, parsed: CalendarObject) -> GroupedCalendar:
    """Put the components of a calendar together by UID; the first UID and what is odd go to `parsed`."""
    calendar = GroupedCalendar(text)
    by_uid: dict[str, Series] = {}
    for component in calendar.text.components:
        uid = component.value("UID")
        parsed.uid = parsed.uid or uid
        if not component.closed:
            _note_damage(parsed, f"the {component.name} is cut short: it, or something in it, has no END", uid=uid)
        if component.name == "VFREEBUSY":
            calendar.freebusy.append(component)
        elif component.name == "VAVAILABILITY":
            calendar.availability.append(component)
            parsed.has_availability = True
        else:
            series = by_uid.get(uid) if uid else None
            if series is None:
                series = Series(uid)
                calendar.series.append(series)
                if uid:
                    by_uid[uid] = series
            members = series.overrides if "RECURRENCE-ID" in component.properties else series.masters
            members.append(component)
    return calendar


def current(masters: Iterable[Component], *, start: Callable[[Component], Hashable]) -> list[Component]:
    """The masters of one UID that count: of the highest SEQUENCE, and of those with one DTSTART the newest.

    Several with different DTSTARTs are different events that a program gave one UID: each counts.
    """
    by_start: dict[Hashable, list[Component]] = {}
    candidates = list(masters)
    highest = max(map(sequence_of, candidates))
    for component in candidates:
        if sequence_of(component) == highest:
            by_start.setdefault(start(component), []).append(component)
    return [component for versions in by_start.values() for component in newest(versions)]


def newest(components: Iterable[Component]) -> list[Component]:
    """The current one of several versions of a component: highest SEQUENCE, then latest DTSTAMP (RFC 5546 §2.1.4).

    If neither distinguishes them, all are returned, whatever their order: each may be busy.
    """
    candidates = list(components)
    if len(candidates) < 2:
        return candidates
    latest = max(map(_age, candidates))
    return [component for component in candidates if _age(component) == latest]


def sequence_of(component: Component) -> int:
    """SEQUENCE, 0 when it is missing or unreadable."""
    text = component.value("SEQUENCE")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _age(component: Component) -> tuple[int, str, str]:
    return sequence_of(component), component.value("DTSTAMP"), component.value("LAST-MODIFIED")
