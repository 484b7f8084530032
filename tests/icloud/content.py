"""Reads iCalendar text just far enough to judge it as iCloud does: components, property lines, UIDs, zones.

Lenient by design: it must look at the broken objects Apple serves. It expands nothing; that is `timerange.py`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

OBJECT_COMPONENTS = ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY")
_TZID = re.compile(r';TZID="?([^";:]+)"?', re.IGNORECASE)


class NotACalendar(Exception):
    """The text has no VCALENDAR, or its components do not nest."""


@dataclass(slots=True)
class Line:
    """One content line, unfolded: the name in capitals, the parameters as written (`;A=B`), the value."""

    name: str
    parameters: str
    value: str


@dataclass(slots=True)
class Component:
    name: str
    lines: list[Line] = field(default_factory=list)
    children: list["Component"] = field(default_factory=list)

    def has(self, name: str) -> bool:
        return any(line.name == name for line in self.lines)

    def all(self, name: str) -> list[Line]:
        return [line for line in self.lines if line.name == name]

    def value(self, name: str) -> str:
        """The first value of that property, or nothing."""
        return next((line.value for line in self.lines if line.name == name), "")

    def named(self, *names: str) -> list["Component"]:
        return [child for child in self.children if child.name in names]

    def walk(self) -> Iterator["Component"]:
        yield self
        for child in self.children:
            yield from child.walk()


def read_calendar(text: str) -> Component:
    """The VCALENDAR of an object, or `NotACalendar`."""
    root = Component("")
    open_components = [root]
    for line in _unfold(text):
        if line.name == "BEGIN":
            child = Component(line.value.strip().upper())
            open_components[-1].children.append(child)
            open_components.append(child)
        elif line.name == "END":
            if len(open_components) == 1 or open_components.pop().name != line.value.strip().upper():
                raise NotACalendar("components do not nest")
        else:
            open_components[-1].lines.append(line)
    if len(open_components) != 1 or [child.name for child in root.children] != ["VCALENDAR"]:
        raise NotACalendar("not exactly one VCALENDAR")
    return root.children[0]


def uid_of(text: str) -> str:
    """The UID of the object's events or tasks (never an alarm's), empty where there is none to be read."""
    try:
        calendar = read_calendar(text)
    except NotACalendar:
        return ""
    return next((item.value("UID") for item in calendar.named(*OBJECT_COMPONENTS) if item.has("UID")), "")


def zones_used(calendar: Component) -> set[str]:
    return {zone for part in calendar.walk() for line in part.lines for zone in _TZID.findall(line.parameters)}


def zones_defined(calendar: Component) -> set[str]:
    return {zone.value("TZID") for zone in calendar.named("VTIMEZONE")}


def with_crlf(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def _unfold(text: str) -> Iterator[Line]:
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    for raw in unfolded.splitlines():
        if raw.strip():
            yield _split(raw)


def _split(raw: str) -> Line:
    quoted = False
    for position, character in enumerate(raw):
        if character == '"':
            quoted = not quoted
        elif character == ":" and not quoted:
            name, semicolon, parameters = raw[:position].partition(";")
            return Line(name.upper(), semicolon + parameters, raw[position + 1 :])
    return Line(raw.upper(), "", "")
