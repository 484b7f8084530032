"""A payload -> its events, grouped as series; a feed -> one payload per UID. No zone is looked up, nothing expanded."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct, field

from busyd.errors import DataError
from busyd.ical.facts import Problem, ProblemKind
from busyd.ical.limits import MAX_OBJECT_BYTES
from busyd.ical.lines import CalendarText, Component, read_calendars, unescape, unfold


class UnreadableFeed(DataError):
    """An answer that is no whole iCalendar stream. It must never be taken for an empty calendar."""


class Series(Struct):
    """The events of one UID in one calendar: what the masters say, and what the overrides say."""

    uid: str
    masters: list[Component] = field(default_factory=list)
    overrides: list[Component] = field(default_factory=list)


class Calendar(Struct):
    """One VCALENDAR of an object."""

    text: CalendarText
    series: list[Series] = field(default_factory=list)
    freebusy: list[Component] = field(default_factory=list)
    availability: list[Component] = field(default_factory=list)

    @property
    def is_cancelled(self) -> bool:
        """METHOD:CANCEL: every event in it is cancelled (RFC 5546 §3.2.5)."""
        return self.text.value("METHOD").upper() == "CANCEL"


class CalendarObject(Struct):
    """What busy time hangs on in one payload: usually one calendar with one series."""

    uid: str = ""
    """The first UID; empty when there is none."""
    calendars: list[Calendar] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    cut_short: str = ""
    """Not empty: there may have been more, and this sentence says why."""
    refused: str = ""
    """Not empty: the payload is beyond the bounds and was not read, and this sentence says why."""


class FeedObject(Struct, frozen=True):
    """One object cut out of a feed."""

    uid: str
    """As the feed has it, or made from a hash of the component."""
    payload: bytes


def parse_object(payload: bytes) -> CalendarObject:
    """Read a calendar object. Never raises, whatever the bytes; what is odd is in `problems`.

    Time and memory grow with the size of the payload, which is bounded (`limits.MAX_OBJECT_BYTES`).
    """
    found = CalendarObject()
    if len(payload) > MAX_OBJECT_BYTES:
        found.refused = f"the object has {len(payload)} bytes, more than busyd reads"
        return found
    has_reply = False
    for text in read_calendars(unfold(payload)):
        # RFC 5546 §3.2.3: a reply says what somebody else answered, it is no event of this calendar.
        if text.properties and text.value("METHOD").upper() == "REPLY":
            has_reply = True
            continue
        if not text.closed:
            found.cut_short = "the object is cut short: END:VCALENDAR is missing"
        found.calendars.append(group_components(text, found))
    if not found.calendars and not has_reply:
        found.cut_short = "this is no iCalendar object"
    if found.cut_short:
        found.problems.append(Problem(ProblemKind.UNREADABLE, found.uid, found.cut_short))
    return found


def group_components(text: CalendarText, found: CalendarObject) -> Calendar:
    """Put the components of a calendar together by UID; the first UID and what is odd go to `found`."""
    calendar = Calendar(text)
    by_uid: dict[str, Series] = {}
    for component in calendar.text.components:
        uid = component.value("UID")
        found.uid = found.uid or uid
        if not component.closed:
            found.problems.append(
                Problem(ProblemKind.UNREADABLE, uid, f"the {component.name} is cut short: it has no END")
            )
        if component.name == "VFREEBUSY":
            calendar.freebusy.append(component)
        elif component.name == "VAVAILABILITY":
            calendar.availability.append(component)
        else:
            series = by_uid.get(uid) if uid else None
            if series is None:
                series = Series(uid)
                calendar.series.append(series)
                if uid:
                    by_uid[uid] = series
            target = series.overrides if "RECURRENCE-ID" in component.properties else series.masters
            target.append(component)
    return calendar


def newest(components: Iterable[Component]) -> list[Component]:
    """Of several components for one thing the one that counts: highest SEQUENCE, then latest DTSTAMP (RFC 5546 §2.1.4).

    Where neither tells them apart all are returned, whatever their order: both may be busy.
    """
    found = list(components)
    if len(found) < 2:
        return found
    latest = max(map(_age, found))
    return [component for component in found if _age(component) == latest]


def sequence_of(component: Component) -> int:
    """SEQUENCE, 0 when it is missing or unreadable."""
    text = component.value("SEQUENCE")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _age(component: Component) -> tuple[int, str, str]:
    return sequence_of(component), component.value("DTSTAMP"), component.value("LAST-MODIFIED")


def split_feed(payload: bytes) -> list[FeedObject]:
    """Cut a feed into one payload per UID, in the order in which they come up; events without UID each for themselves.

    Each payload has what its events need: their VTIMEZONEs, METHOD, X-WR-TIMEZONE, and nothing that changes from one
    download to the next. Tasks and journals are left out. Raises UnreadableFeed for anything that is not iCalendar
    from the first BEGIN:VCALENDAR to the last END:VCALENDAR.
    """
    text = unfold(payload)
    lines = text.strip().split("\n")
    if not re.fullmatch(r"BEGIN:VCALENDAR\s*", lines[0], re.IGNORECASE):
        start = re.sub(r"[^\x21-\x7e]+", " ", lines[0])[:40]
        message = f"the answer is not a calendar: it starts with {start!r}" if start else "the answer is empty"
        raise UnreadableFeed(message)
    if not re.fullmatch(r"END:VCALENDAR\s*", lines[-1], re.IGNORECASE):
        raise UnreadableFeed("the calendar is cut short: END:VCALENDAR is missing")
    cut: dict[str, list[str]] = {}
    for head, zones, blocks in _calendars(lines):
        own: dict[str, list[str]] = {}
        for uid, block in blocks:
            own.setdefault(uid, []).append(block)
        for uid, found in own.items():
            body = "\n".join(found)
            wanted = {_zone_key(tzid) for tzid in _TZID.findall(body)}
            needed = [zone for name, zone in zones if name in wanted]
            cut.setdefault(uid, []).append("\n".join((*head, *needed, body, "END:VCALENDAR")))
    return [FeedObject(uid, ("\n".join(texts) + "\n").replace("\n", "\r\n").encode()) for uid, texts in cut.items()]


_TZID: Final = re.compile(r"^[A-Z-]+[^:\n\"]*?;TZID=(\"[^\"\n]*\"|[^;:\n]*)", re.IGNORECASE | re.MULTILINE)
_EDGE: Final = re.compile(r"(BEGIN|END):([A-Z0-9-]+)[ \t]*", re.IGNORECASE)
_HEAD: Final = re.compile(r"(?:METHOD|X-WR-TIMEZONE|CALSCALE)[;:]", re.IGNORECASE)
_NAME: Final = re.compile(r"(?:UID|TZID)(?:;[^:]*)?:(.*)", re.IGNORECASE)


def _calendars(lines: list[str]) -> Iterable[tuple[list[str], list[tuple[str, str]], list[tuple[str, str]]]]:
    """(head lines, [(TZID, VTIMEZONE block)], [(UID, event block)]) of every VCALENDAR."""
    cutter = _Cutter()
    for line in lines:
        edge = _EDGE.fullmatch(line)
        name = edge[2].upper() if edge else ""
        begins = bool(edge) and line[:1] in "Bb"
        if name == "VCALENDAR":
            cutter.close()
            if not begins:
                yield cutter.head, cutter.zones, cutter.blocks
            cutter = _Cutter()
        elif begins and (not cutter.kind or name == "VEVENT"):
            cutter.close()
            cutter.open(name, line)
        elif cutter.kind:
            cutter.add(line, depth=0 if not edge else 1 if begins else -1, ends=name == cutter.kind and not begins)
        elif _HEAD.match(line):
            cutter.head.append(line)


class _Cutter:
    """Collects the blocks of one VCALENDAR."""

    def __init__(self) -> None:
        self.head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//busyd//feed//EN"]
        self.zones: list[tuple[str, str]] = []
        self.blocks: list[tuple[str, str]] = []
        self.kind = ""
        self._lines: list[str] = []
        self._depth = 0
        self._name = ""

    def open(self, kind: str, line: str) -> None:
        self.kind, self._lines, self._depth, self._name = kind, [line], 1, ""

    def add(self, line: str, *, depth: int, ends: bool) -> None:
        # The UID and TZID of the block itself: Apple's alarms have UIDs too.
        if self._depth == 1 and not self._name:
            found = _NAME.match(line)
            self._name = found[1].strip() if found else ""
        self._lines.append(line)
        self._depth += depth
        if ends or self._depth <= 0:
            self.close()

    def close(self) -> None:
        block = "\n".join(self._lines)
        if self.kind == "VTIMEZONE":
            self.zones.append((_zone_key(self._name), block))
        elif self.kind in ("VEVENT", "VFREEBUSY", "VAVAILABILITY"):
            made = f"no-uid-{hashlib.sha256(block.encode()).hexdigest()[:32]}"
            self.blocks.append((self._name or made, block))
        self.kind, self._lines = "", []


def _zone_key(tzid: str) -> str:
    return unescape(tzid.strip().strip('"')).strip().lower()
