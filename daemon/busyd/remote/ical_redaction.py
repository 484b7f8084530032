"""Redacts iCalendar text: the times of an event stay, its title, place and people are removed. Pure.

Works line by line on the raw text: malformed lines stay malformed, since they may be what a recording is about.
"""

import re
from collections.abc import Callable
from typing import Final

LEFT_OUT: Final = "redacted"


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_KEPT: Final = words(
    "BEGIN END VERSION PRODID CALSCALE METHOD DTSTART DTEND DUE DURATION RRULE EXRULE RDATE EXDATE RECURRENCE-ID "
    "DTSTAMP CREATED LAST-MODIFIED COMPLETED TRANSP STATUS SEQUENCE CLASS PRIORITY FREEBUSY BUSYTYPE TZID TZNAME "
    "TZOFFSETFROM TZOFFSETTO TZUNTIL X-LIC-LOCATION ACTION TRIGGER REPEAT ACKNOWLEDGED REFRESH-INTERVAL "
    "X-PUBLISHED-TTL X-APPLE-TRAVEL-DURATION X-APPLE-TRAVEL-RETURN-DURATION X-APPLE-TRAVEL-ADVISORY-BEHAVIOR "
    "X-APPLE-DEFAULT-ALARM X-APPLE-EWS-BUSYSTATUS X-MICROSOFT-CDO-BUSYSTATUS X-MICROSOFT-CDO-INTENDEDSTATUS "
    "X-MICROSOFT-CDO-ALLDAYEVENT X-MOZ-LASTACK"
)
"""Properties whose value says only when and how."""
_PARAMETERS: Final = words(
    "VALUE TZID PARTSTAT ROLE RSVP CUTYPE RANGE RELATED FBTYPE SCHEDULE-STATUS SCHEDULE-AGENT SCHEDULE-FORCE-SEND "
    "ENCODING LANGUAGE"
)
_PEOPLE: Final = frozenset({"ATTENDEE", "ORGANIZER"})
_LINE: Final = re.compile(
    r"""([A-Za-z0-9-]+)((?:;[^;:="]+(?:=(?:"[^"]*"|[^;:",])*(?:,(?:"[^"]*"|[^;:",])*)*)?)*):(.*)""", re.DOTALL
)
_PARAMETER: Final = re.compile(r';([^;:="]+)=((?:"[^"]*"|[^;:"])*)')
_WIDTH: Final = 75

Replace = Callable[[str], str]


def redact_icalendar(text: str, person: Replace, *, uid: Replace) -> str:
    """The text with the same lines in the same order; `person` and `uid` return placeholders for addresses and UIDs."""
    newline = "\r\n" if "\r\n" in text else "\n"
    unfolded = re.sub(r"\r?\n[ \t]", "", text)
    lines = (_redact_line(line, person, uid=uid) for line in re.split(r"\r?\n", unfolded))
    return newline.join(_fold(line, newline) for line in lines)


def _redact_line(line: str, person: Replace, *, uid: Replace) -> str:
    if not line.strip():
        return line
    match = _LINE.fullmatch(line)
    if match is None:
        return LEFT_OUT
    name, parameters, value = match[1].upper(), match[2], match[3]
    kept = "".join(
        f";{key}={_parameter(key.upper(), written, person=person)}" for key, written in _PARAMETER.findall(parameters)
    )
    if name in _PEOPLE:
        address = person(value)
        value = f"mailto:{address}" if "@" in address else address
    elif name == "UID":
        value = uid(value)
    elif name not in _KEPT:
        value = LEFT_OUT
    return f"{match[1]}{kept}:{value}"


def _parameter(name: str, written: str, *, person: Replace) -> str:
    if name in _PARAMETERS:
        return written
    return person(written.strip('"')) if name == "EMAIL" else LEFT_OUT


def _fold(line: str, newline: str) -> str:
    """RFC 5545 §3.1; what remains is nearly all ASCII, so characters are counted instead of octets."""
    parts = [line[:_WIDTH]]
    rest = line[_WIDTH:]
    while rest:
        parts.append(" " + rest[: _WIDTH - 1])
        rest = rest[_WIDTH - 1 :]
    return newline.join(parts)
