"""A feed -> one payload per UID, so that a changed event means parsing one object. Events are not interpreted here.

Events are kept as offsets into the text until they are returned: a feed may have hundreds of thousands.
"""

import hashlib
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from msgspec import Struct

from busyd.errors import DataError
from busyd.ical.lines import TEXT_AROUND, UTF_16, unescape
from busyd.ical.unfolding import is_wide, unfold

TextRange = tuple[int, int]
"""Where a block begins and ends in the text."""


class UnreadableFeed(DataError):
    """A response that is not a complete iCalendar stream. It must never be taken for an empty calendar."""


class FeedObject(Struct, frozen=True):
    """One object of a feed."""

    uid: str
    """As in the feed, or derived from a hash of the component."""
    payload: bytes


def split_feed(payload: bytes) -> list[FeedObject]:
    """All objects that `cut_feed` yields."""
    return list(cut_feed(payload))


def cut_feed(payload: bytes) -> Iterator[FeedObject]:
    """Split a feed into one payload per UID, in order of appearance; each event without UID is an object of its own.

    Each payload contains what its events need: their VTIMEZONEs, METHOD, X-WR-TIMEZONE, and nothing that changes from
    one download to the next. Tasks and journals are left out. Text before and after the calendars is left out, too; of
    that, and of UTF-16, the first object tells. Where the last END:VCALENDAR is missing, all objects do. Raises
    UnreadableFeed, before the first object, for anything that is not iCalendar, and for a calendar that is cut short
    before its first event has ended.
    """
    text = "\n" + unfold(payload).strip()
    marks = [UTF_16] if is_wide(payload) or f"\n{UTF_16}\n" in text else []
    del payload
    first = _BEGIN.search(text)
    if first is None or any(pattern.search(text, 0, first.start()) for pattern in (_PAGE, _EDGE, _STRAY)):
        start = re.sub(r"[^\x21-\x7e]+", " ", _FIRST.findall(text)[0])[:40]
        message = f"the response is not a calendar: it starts with {start!r}" if start else "the response is empty"
        raise UnreadableFeed(message)
    around, text = text[: first.start()].strip(), text[first.start() :]
    end = max((match.end() for match in _END.finditer(text)), default=0)
    if not _EDGE.search(text, end) and not _STRAY.search(text, end):
        around, text = around or text[end:].strip(), text[:end]  # no component follows, only text
    elif not _WHOLE.search(text):
        raise UnreadableFeed("the calendar is cut short: END:VCALENDAR is missing")
    marks += [TEXT_AROUND] if around else []
    calendars = list(_calendars(text))
    if not any(calendar.blocks for calendar in calendars) and _TEXT.search(text):
        raise UnreadableFeed("the response is not a calendar: between BEGIN:VCALENDAR and END:VCALENDAR is other text")
    # UID -> the places of its events, each calendar's behind the number of the calendar.
    cut: dict[str, list[tuple[int, TextRange]]] = {}
    for number, calendar in enumerate(calendars):
        for uid, place in calendar.blocks:
            cut.setdefault(uid, []).append((number, place))
    for uid, places in cut.items():
        texts = []
        for number, own in groupby(places, key=lambda place: place[0]):
            calendar = calendars[number]
            body = "\n".join([text[start:end] for _, (start, end) in own])
            wanted = {_zone_key(tzid) for tzid in _TZID.findall(body)} if calendar.zones else ()
            # Where a name with a colon is not in quotes, only what is before the colon was found.
            needed = [zone for name, zone in calendar.zones if name in wanted or name.partition(":")[0] in wanted]
            texts.append("\n".join((*calendar.head, *marks, *needed, body, *calendar.tail)))
            marks = []
        yield FeedObject(uid, ("\n".join(texts) + "\n").replace("\n", "\r\n").encode())


_FIRST: Final = re.compile(r"\A\n([^\n]*)")
_BEGIN: Final = re.compile(r"\n(?i:BEGIN:VCALENDAR)[ \t]*(?=\n|\Z)")
_END: Final = re.compile(r"\n(?i:END:VCALENDAR)[ \t]*(?=\n|\Z)")
_WHOLE: Final = re.compile(r"\n(?i:END:(?:VEVENT|VFREEBUSY|VAVAILABILITY))[ \t]*(?=\n|\Z)")
_PAGE: Final = re.compile(r"<!doctype html|<html", re.IGNORECASE)
_TZID: Final = re.compile(r"^[A-Z-]+[^:\n\"]*?;TZID=(\"[^\"\n]*\"|[^;:\n]*)", re.IGNORECASE | re.MULTILINE)
# The pattern starts with a line feed and ignores case only after it, which makes the search fast.
_EDGE: Final = re.compile(r"\n((?i:BEGIN|END)):([A-Za-z0-9-]+)[ \t]*(?=\n|\Z)")
_HEAD: Final = re.compile(r"\n((?i:METHOD|X-WR-TIMEZONE|CALSCALE)[;:][^\n]*)")
_STRAY: Final = re.compile(r"\n(?i:DTSTART|DTEND|RRULE|RDATE|EXDATE|RECURRENCE-ID|FREEBUSY)[;:]")
_MARKUP: Final = re.compile(r"\n[ \t]*<")
_TEXT: Final = re.compile(r"\n(?![A-Za-z0-9.-]+[;:])(?![ \t]*(?:\n|\Z))")
"""The start of a line that has neither a name nor nothing at all."""
_NAME: Final = re.compile(r"\n(?i:UID|TZID)(?:;[^:\n]*)?:([^\n]*)")


def _calendars(text: str) -> "Iterator[_Cutter]":
    """The content of every VCALENDAR of a text that begins with a line feed."""
    cutter, seen = _Cutter(text), 0
    for edge in _EDGE.finditer(text):
        name, begins = edge[2].upper(), edge[1][0] in "Bb"
        cutter.pass_lines(seen, edge.start())
        seen = edge.end()
        if name == "VCALENDAR":
            cutter.close(edge.start())
            yield cutter if not begins else cutter.without_end()
            cutter = _Cutter(text)
        elif begins and (not cutter.kind or name == "VEVENT"):
            cutter.close(edge.start())
            cutter.open(name, edge.start() + 1)
        elif cutter.kind:
            cutter.depth += 1 if begins else -1
            if cutter.depth <= 0 or (name == cutter.kind and not begins):
                cutter.close(edge.end())
    if cutter.kind or cutter.blocks:
        cutter.pass_lines(seen, len(text))
        cutter.close(len(text))
        yield cutter.without_end()


class _Cutter:
    """Collects the blocks of one VCALENDAR."""

    def __init__(self, text: str) -> None:
        self.head = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//busyd//feed//EN"]
        self.zones: list[tuple[str, str]] = []
        """Each TZID with its VTIMEZONE."""
        self.blocks: list[tuple[str, TextRange]] = []
        """Each UID with the place of an event."""
        self.tail: tuple[str, ...] = ("END:VCALENDAR",)
        self.kind = ""
        self.depth = 0
        self._text = text
        self._start = 0
        self._name = ""

    def without_end(self) -> "_Cutter":
        """The same for what no END:VCALENDAR follows: its events are read, and known to be cut short."""
        self.tail = ()
        return self

    def open(self, kind: str, start: int) -> None:
        self.kind, self.depth, self._start, self._name = kind, 1, start, ""

    def pass_lines(self, start: int, end: int) -> None:
        """Note what matters in the lines between two BEGIN or END lines."""
        if not self.kind:
            if _MARKUP.search(self._text, start, end):
                raise UnreadableFeed("the response is not a calendar, but a web page inside one")
            self.head += _HEAD.findall(self._text, start, end)
            if _STRAY.search(self._text, start, end):
                # What is left of an event goes into an object of its own, which then says so.
                self.blocks.append((_made_up(self._text[start:end]), (start + 1, end)))
        elif self.depth == 1 and not self._name:
            # The UID and TZID of the block itself: Apple's alarms have UIDs too.
            names = (match[1].strip() for match in _NAME.finditer(self._text, start, end))
            self._name = next(filter(None, names), "")

    def close(self, end: int) -> None:
        if self.kind == "VTIMEZONE":
            self.zones.append((_zone_key(self._name), self._text[self._start : end]))
        elif self.kind in ("VEVENT", "VFREEBUSY", "VAVAILABILITY"):
            uid = self._name or _made_up(self._text[self._start : end])
            self.blocks.append((uid, (self._start, end)))
        self.kind = ""


def _made_up(block: str) -> str:
    return f"no-uid-{hashlib.sha256(block.encode()).hexdigest()[:32]}"


def _zone_key(tzid: str) -> str:
    return unescape(tzid.strip().strip('"')).strip().lower()
