"""Redacts iCalendar text: the times of an event stay, its title, place and people are removed. Pure.

Works line by line on the raw text: malformed lines stay malformed, since they may be what a recording is about.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final

from busyd.ical.zones import iana_zone

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
_LEFT_OUT: Final = words(
    "ATTACH ATTENDEE CATEGORIES COLOR COMMENT CONFERENCE CONTACT DESCRIPTION GEO IMAGE LOCATION NAME ORGANIZER "
    "PERCENT-COMPLETE RELATED-TO REQUEST-STATUS RESOURCES SOURCE STRUCTURED-DATA STYLED-DESCRIPTION SUMMARY TZURL "
    "UID URL"
)
"""Further properties whose names are everybody's."""
_COMPONENTS: Final = words(
    "VCALENDAR VEVENT VTODO VJOURNAL VFREEBUSY VTIMEZONE STANDARD DAYLIGHT VALARM VAVAILABILITY AVAILABLE VPOLL "
    "PARTICIPANT VLOCATION VRESOURCE"
)
_SAID: Final = words(
    "TENTATIVE CONFIRMED CANCELLED NEEDS-ACTION COMPLETED IN-PROCESS DRAFT FINAL PUBLIC PRIVATE CONFIDENTIAL OPAQUE "
    "TRANSPARENT PUBLISH REQUEST REPLY ADD CANCEL REFRESH COUNTER DECLINECOUNTER AUDIO DISPLAY EMAIL PROCEDURE NONE "
    "BUSY BUSY-UNAVAILABLE BUSY-TENTATIVE FREE OOF WORKINGELSEWHERE TRUE FALSE GREGORIAN AUTOMATIC DISABLED ENABLED "
    "UTC GMT FREQ UNTIL COUNT INTERVAL BYSECOND BYMINUTE BYHOUR BYDAY BYMONTHDAY BYYEARDAY BYWEEKNO BYMONTH "
    "BYSETPOS WKST RSCALE SKIP OMIT BACKWARD FORWARD SECONDLY MINUTELY HOURLY DAILY WEEKLY MONTHLY YEARLY MO TU WE "
    "TH FR SA SU CHINESE HEBREW ETHIOPIC DATE DATE-TIME PERIOD DURATION TEXT URI BINARY BOOLEAN INTEGER FLOAT TIME "
    "UTC-OFFSET CAL-ADDRESS RECUR ACCEPTED DECLINED DELEGATED CHAIR REQ-PARTICIPANT OPT-PARTICIPANT NON-PARTICIPANT "
    "INDIVIDUAL GROUP RESOURCE UNKNOWN THISANDFUTURE THISANDPRIOR START END SERVER CLIENT BASE64 8BIT"
)
"""What these values and parameters are made of, beside times and numbers; what is misspelt says no less left out."""
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2}(?:-[A-Za-z]{2})?")
_WORD: Final = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_TIME: Final = re.compile(r"(?=.*\d)[0-9TZPWDHMSL]+|\d{1,2}(?:MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_PARAMETERS: Final = words(
    "VALUE TZID PARTSTAT ROLE RSVP CUTYPE RANGE RELATED FBTYPE SCHEDULE-STATUS SCHEDULE-AGENT SCHEDULE-FORCE-SEND "
    "ENCODING LANGUAGE"
)
_PARAMETERS_LEFT_OUT: Final = words(
    "ALTREP CN DELEGATED-FROM DELEGATED-TO DERIVED DIR DISPLAY EMAIL FEATURE FILENAME FMTTYPE GAP LABEL LANGUAGE "
    "LINKREL MANAGED-ID MEMBER ORDER RELTYPE SCHEMA SENT-BY SIZE"
)
_PEOPLE: Final = frozenset({"ATTENDEE", "ORGANIZER"})
_LINE: Final = re.compile(
    r"""([A-Za-z0-9-]+)((?:;[^;:="]+(?:=(?:"[^"]*"|[^;:",])*(?:,(?:"[^"]*"|[^;:",])*)*)?)*):(.*)""", re.DOTALL
)
_PARAMETER: Final = re.compile(r';([^;:="]+)=((?:"[^"]*"|[^;:"])*)')
_WIDTH: Final = 75
_ABBREVIATION: Final = re.compile(r"[A-Z]{2,5}|[+-]?[0-9]{2,4}|GMT[+-][0-9:]{1,5}")
_PRODUCT: Final = re.compile(
    r"[+-]//(?:Apple Inc\.|Apple Computer\\?, Inc|Google Inc|Microsoft Corporation|Mozilla\.org|Ximian|"
    r"Nextcloud|SabreDAV|Sabre|Radicale|Xandikos|CALENDARSERVER\.ORG)//[ -~]{0,60}\Z",
    re.IGNORECASE,
)
_VENDOR: Final = re.compile(
    r"X-(?:APPLE|CALENDARSERVER|ADDRESSBOOKSERVER|MOZ|MICROSOFT|MS|EVOLUTION|GOOGLE|WR|LIC|NEXTCLOUD|SOGO|RADICALE)-|"
    r"X-(?:TITLE|ADDRESS)\Z",
    re.IGNORECASE,
)
"""Whose names say nothing of a person."""

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
        f";{_name(key, _PARAMETERS | _PARAMETERS_LEFT_OUT)}={_parameter(key.upper(), written, person=person)}"
        for key, written in _PARAMETER.findall(parameters)
    )
    if name in _PEOPLE:
        address = person(value)
        value = f"mailto:{address}" if "@" in address else address
    elif name == "UID":
        value = uid(value)
    elif name in ("TZID", "X-LIC-LOCATION"):
        value = _zone(value)
    elif name == "TZNAME":
        value = value if _ABBREVIATION.fullmatch(value) else LEFT_OUT
    elif name == "PRODID":
        value = value if _PRODUCT.match(value) else LEFT_OUT
    elif name in ("BEGIN", "END"):
        value = _name(value, _COMPONENTS)
    else:
        value = _plain(value) if name in _KEPT else LEFT_OUT
    return f"{_name(match[1], _KEPT | _LEFT_OUT)}{kept}:{value}"


def _name(written: str, known: frozenset[str]) -> str:
    """A name of a property, parameter or component; those that somebody has made up may say who."""
    return written if written.strip().upper() in known or _VENDOR.match(written) else "X-REDACTED"


def _plain(value: str) -> str:
    """A value in which only times, numbers and the words of the standards are kept."""
    return _WORD.sub(lambda word: word[0] if word[0].upper() in _SAID or _TIME.fullmatch(word[0]) else LEFT_OUT, value)


def _zone(written: str) -> str:
    """A TZID as it is where it is known everywhere, else a stand-in that is the same wherever it occurs."""
    name = written.strip().strip('"')
    if not name or iana_zone(name) is not None or name.upper() == "UTC":
        return written
    return f"zone-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _parameter(name: str, written: str, *, person: Replace) -> str:
    if name == "TZID":
        return _zone(written)
    if name in _PARAMETERS:
        return written if name == "LANGUAGE" and _LANGUAGE.fullmatch(written) else _plain(written)
    return person(written.strip('"')) if name == "EMAIL" else LEFT_OUT


def _fold(line: str, newline: str) -> str:
    """RFC 5545 §3.1; what remains is nearly all ASCII, so characters are counted instead of octets."""
    parts = [line[:_WIDTH]]
    rest = line[_WIDTH:]
    while rest:
        parts.append(" " + rest[: _WIDTH - 1])
        rest = rest[_WIDTH - 1 :]
    return newline.join(parts)
