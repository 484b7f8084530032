"""Bytes -> components of content lines, as RFC 5545 §3.1 and real calendars write them, without interpreting them.

One regular expression walks the unfolded text and stops only at the lines that matter for busy time; VTIMEZONE blocks
are set aside unparsed. Nothing here raises, whatever the bytes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from busyd.ical.unfolding import PARAMETERS, is_wide, unfold_and_look

Property = tuple[str, str]
"""(the raw parameters, from the first semicolon on; the raw value)."""


class Component(Struct):
    """One component: its properties by upper-case name in their order, and the components inside it."""

    name: str
    properties: dict[str, list[Property]] = field(default_factory=dict)
    inside: list["Component"] = field(default_factory=list)
    closed: bool = False
    """It has an END line, and so has everything in it."""

    def value(self, name: str) -> str:
        """The first value of a property, without white space around it; empty when there is none."""
        lines = self.properties.get(name)
        return lines[0][1].strip() if lines else ""


class CalendarText(Struct):
    """One VCALENDAR: its own properties, the components that matter, and its VTIMEZONEs, unparsed."""

    properties: dict[str, list[Property]] = field(default_factory=dict)
    components: list[Component] = field(default_factory=list)
    zones: list[str] = field(default_factory=list)
    """The lines between BEGIN:VTIMEZONE and its END, each with a line feed before it."""
    closed: bool = False
    strays: bool = False
    """Something that looks like an event, or like a part of one, is not where it can be read as one."""
    oddities: tuple[str, ...] = ()
    """What is odd about the payload as a whole, and read all the same; of the first calendar only."""

    def value(self, name: str) -> str:
        """The first value of a property, without white space around it; empty when there is none."""
        lines = self.properties.get(name)
        return lines[0][1].strip() if lines else ""


def _any_case(names: Iterable[str]) -> str:
    """A pattern that matches any of the names in any case, and fails at the first different letter."""
    tails: dict[str, list[str]] = {}
    for name in names:
        tails.setdefault(name[:1], []).append(name[1:])
    branches = [
        (f"[{letter}{letter.lower()}]" if letter.isalpha() else re.escape(letter)) + _any_case(rest)
        for letter, rest in tails.items()
        if letter
    ]
    if "" in tails:
        branches.append("")
    return branches[0] if len(branches) == 1 else f"(?:{'|'.join(branches)})"


OF_ONE: Final = frozenset((
    "BEGIN", "END", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID", "UID",
    "STATUS", "TRANSP", "ATTENDEE", "ORGANIZER", "METHOD", "X-WR-TIMEZONE", "X-MICROSOFT-CDO-BUSYSTATUS",
    "X-APPLE-EWS-BUSYSTATUS", "X-APPLE-TRAVEL-DURATION", "X-APPLE-TRAVEL-RETURN-DURATION",
))  # fmt: skip
"""The properties that determine the busy time of a single event."""
WANTED: Final = OF_ONE | {"SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "FREEBUSY", "BUSYTYPE", "PRIORITY"}
"""In addition, those that decide between several components, or that only other components have. All others are
skipped."""
_ONLY_IN_EVENTS: Final = frozenset({"DTSTART", "DTEND", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "FREEBUSY"})
"""Found outside of any component, they are what is left of an event."""
_REST_OF_ZONE: Final = re.compile(r"(\d\d(?!\d)[^:]*):(\s*\d{8}.*)", re.ASCII)
TEXT_AROUND: Final = "X-BUSYD-TEXT-AROUND:TRUE"
UTF_16: Final = "X-BUSYD-UTF-16:TRUE"
ODDITIES: Final[Mapping[str, str]] = {
    TEXT_AROUND: "there is text before or behind the calendar, which is ignored",
    UTF_16: "the calendar is in UTF-16, and should be in UTF-8 (RFC 5545 §3.1.4)",
}
"""What is put into the first object that is cut out of an odd feed, of which nothing else is left -> what is odd."""
_BEGIN: Final = re.compile(r"\n(?i:BEGIN:VCALENDAR)[ \t]*(?=\n)")
_END: Final = re.compile(r"\n(?i:END:VCALENDAR)[ \t]*(?=\n)")
_HARMLESS: Final = frozenset({"VTODO", "VJOURNAL", "VTIMEZONE"})
"""Components that never block, so that one without END hides nothing."""


def _lines_named(names: str) -> re.Pattern[str]:
    """The pattern to search for: these names, given as a pattern, and time zones, alarms and polls to skip.

    The events in a VPOLL are only proposals, so none of them blocks time.
    """
    return re.compile(
        r"\n(?:(?i:BEGIN):(?:"
        r"(?i:VTIMEZONE)[ \t]*+((?:\n(?![EeBb](?i:ND:V|EGIN:V))[^\n]*+)*+)\n(?i:END:VTIMEZONE)[ \t]*+(?=\n)|"
        r"(?i:VALARM)[ \t]*+(?:\n(?![BbEe](?i:EGIN:|ND:))[^\n]*+)*+\n(?i:END:VALARM)[ \t]*+(?=\n)|"
        r"(?i:VPOLL)[ \t]*+(?:\n(?![BbEe](?i:EGIN:VPOLL|ND:VPOLL))[^\n]*+)*+\n(?i:END:VPOLL)[ \t]*+(?=\n))|"
        rf"({names})[ \t]*+({PARAMETERS}|):([^\n]*+))"
    )


_LINE: Final = _lines_named("|".join(sorted(WANTED)))
_LINE_OF_ONE: Final = _lines_named("|".join(sorted(OF_ONE)))


@lru_cache(maxsize=1)
def _line_in_any_case() -> re.Pattern[str]:
    """Compiled when the first such text comes, since that takes milliseconds."""
    return _lines_named(_any_case(sorted(WANTED)))


_ANY_LINE: Final = re.compile(rf"\n([A-Za-z0-9-]++)(?:[ \t]*+({PARAMETERS}))?:([^\n]*+)")
_PARAMETER: Final = re.compile(r";[ \t]*([A-Za-z0-9-]+)[ \t]*=((?:\"[^\"]*\"|[^\";])*)")
_TOP: Final = frozenset({"VEVENT", "VFREEBUSY", "VAVAILABILITY"})
_DEEPEST: Final = 64


def read_calendars(payload: bytes) -> list[CalendarText]:
    """The calendars of a payload, in their order.

    Events outside of any VCALENDAR are put into one. A component that is not closed is closed by the next of its kind,
    or by the end of the text.
    """
    text, is_plain = unfold_and_look(payload)
    calendars = _choose_and_read(text, is_plain=is_plain)
    is_bare = text.startswith("\nBEGIN:VCALENDAR\n") and text.endswith("\nEND:VCALENDAR\n")
    if calendars and not any(calendar.strays for calendar in calendars):
        has_text = not is_bare and _has_text_around(text)
        found = {TEXT_AROUND: has_text, UTF_16: is_wide(payload)}
        calendars[0].oddities = tuple([ODDITIES[mark] for mark in ODDITIES if found[mark] or mark in text])
    return calendars


def _choose_and_read(text: str, *, is_plain: bool) -> list[CalendarText]:
    if is_plain and text.count("BEGIN:VEVENT") == 1:
        calendars = _read(_LINE_OF_ONE.findall(text))
        if sum(len(calendar.components) for calendar in calendars) == 1:
            return calendars
    return _read((_LINE if is_plain else _line_in_any_case()).findall(text))


def _has_text_around(text: str) -> bool:
    first, end = _BEGIN.search(text), max((match.end() for match in _END.finditer(text)), default=len(text))
    return first is not None and bool(text[: first.start()].strip() or text[end:].strip())


def _read(lines: Iterable[tuple[str, str, str, str]]) -> list[CalendarText]:
    reader = _ComponentReader()
    target: dict[str, list[Property]] | None = None
    for zone, name, parameters, value in lines:
        key = name if name in WANTED else name.upper()
        if key == "BEGIN":
            target = reader.begin(value.strip().upper())
        elif key == "END":
            target = reader.end(value.strip().upper())
        elif not key:
            if zone:
                reader.calendar().zones.append(zone)
        elif target is not None:
            if key in target:
                target[key].append((parameters, value))
            else:
                target[key] = [(parameters, value)]
        elif key in _ONLY_IN_EVENTS and reader.is_outside:
            reader.calendar().strays = True
    for calendar in reader.calendars:
        if calendar.properties and not _ONLY_IN_EVENTS.isdisjoint(calendar.properties):
            calendar.strays = True
    return reader.calendars


def with_whole_zone(line: Property) -> Property:
    """The same line; when its TZID holds a colon and is not in quotes, as in `TZID=UTC+01:00`, with all of the name."""
    written = _REST_OF_ZONE.fullmatch(line[1]) if line[0] and ":" in line[1] else None
    return (f"{line[0]}:{written[1]}", written[2]) if written is not None else line


def all_properties(text: str) -> Iterator[tuple[str, str, str]]:
    """Every line of a text as (upper-case name, parameters, value), for the few blocks that are parsed in full."""
    for name, parameters, value in _ANY_LINE.findall(text):
        yield name.upper(), parameters, value


@lru_cache(maxsize=4096)
def read_parameters(text: str) -> MappingProxyType[str, str]:
    """Parameters by upper-case name, without quotes; of repeated ones, the first counts."""
    parameters: dict[str, str] = {}
    for name, value in _PARAMETER.findall(text):
        parameters.setdefault(name.upper(), value.replace('"', "").strip())
    return MappingProxyType(parameters)


def unescape(text: str) -> str:
    """A TEXT value with its backslashes resolved (RFC 5545 §3.3.11)."""
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda escaped: "\n" if escaped[1] in "nN" else escaped[1], text)


class _ComponentReader:
    """Which component is open, and how deep inside one that does not matter.

    `begin` and `end` return where the following properties belong; None if they are ignored.
    """

    __slots__ = ("_calendar", "_child", "_in_calendar", "_open", "_skipped", "calendars")

    def __init__(self) -> None:
        self.calendars: list[CalendarText] = []
        self._calendar: CalendarText | None = None
        self._open: Component | None = None
        self._child: Component | None = None
        self._in_calendar = False
        """Inside a BEGIN:VCALENDAR, not inside one that was made up."""
        self._skipped: list[str] = []

    @property
    def is_outside(self) -> bool:
        """Whether what follows is in no component at all."""
        return self._calendar is None and not self._skipped

    def calendar(self) -> CalendarText:
        """The calendar that is open; one without BEGIN is opened where there is none."""
        if self._calendar is None:
            self._calendar = CalendarText(closed=True)
            self.calendars.append(self._calendar)
        return self._calendar

    def begin(self, name: str) -> dict[str, list[Property]] | None:
        if name in _TOP and (self._open is None or name in (self._open.name, "VEVENT")):
            self._open = component = Component(name)
            calendar = self.calendar()
            if not self._in_calendar:
                calendar.strays = True
            calendar.components.append(component)
            self._child = None
            self._skipped = []
            return component.properties
        if name == "VCALENDAR":
            self._calendar = calendar = CalendarText()
            self._in_calendar = True
            self.calendars.append(calendar)
            self._open = self._child = None
            self._skipped = []
            return calendar.properties
        if name == "AVAILABLE" and self._open is not None and self._open.name == "VAVAILABILITY":
            self._child = Component(name)
            self._open.inside.append(self._child)
            self._skipped = []
            return self._child.properties
        if len(self._skipped) < _DEEPEST:
            self._skipped.append(name)
        return None

    def end(self, name: str) -> dict[str, list[Property]] | None:
        if name in self._skipped:
            while self._skipped.pop() != name:
                pass
        elif self._open is not None and name == self._open.name:
            self._open.closed = not self._skipped  # else an alarm without END may have swallowed some of it
            self._open = self._child = None
            self._skipped = []
        elif name == "VCALENDAR":
            if self._calendar is not None:
                self._calendar.closed = True
                cut = self._skipped and self._open is None and self._skipped[0] not in _HARMLESS
                self._calendar.strays = self._calendar.strays or bool(cut)
            self._calendar = self._open = self._child = None
            self._in_calendar = False
            self._skipped = []
        elif name == "AVAILABLE" and self._child is not None:
            self._child.closed = True
            self._child = None
            self._skipped = []
        if self._skipped:
            return None
        current = self._child or self._open or self._calendar
        return current.properties if current is not None else None
