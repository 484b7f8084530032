"""A feed -> one payload per UID, so that a changed event is one object read anew. Nothing is read of what they say."""

import hashlib
import re
from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from busyd.errors import DataError
from busyd.ical.lines import unescape, unfold


class UnreadableFeed(DataError):
    """An answer that is no whole iCalendar stream. It must never be taken for an empty calendar."""


class FeedObject(Struct, frozen=True):
    """One object cut out of a feed."""

    uid: str
    """As the feed has it, or made from a hash of the component."""
    payload: bytes


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
