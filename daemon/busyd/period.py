"""Half-open periods of UTC time and what can be busy in them. No zones, no calendars.

An `Instant` is a whole second of UTC since 1970: iCalendar knows nothing finer, an int is never "naive", and
ints sort, bisect and pack at C speed. Every span is `[start, end)` (RFC 4791 §9.9, RFC 5545 §3.3.9).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date
from enum import IntEnum
from typing import Final, NewType

from msgspec import Struct

Instant = NewType("Instant", int)

EARLIEST: Final = Instant(-62135596800)
"""0001-01-01T00:00:00Z, the first second that can be written."""
LATEST: Final = Instant(253402300799)
"""9999-12-31T23:59:59Z, the last one."""
_MOST_DATES: Final = 4096
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_DIGITS: Final = [f"{number:02}" for number in range(60)]
_MINUTES: Final = [f"{hour:02}:{minute}" for hour in range(24) for minute in _DIGITS]


class FbType(IntEnum):
    """RFC 5545 §3.2.9 FBTYPE, ordered by strength: where periods overlap the greater one wins."""

    FREE = 0
    BUSY_TENTATIVE = 1
    BUSY_UNAVAILABLE = 2
    BUSY = 3

    @property
    def text(self) -> str:
        """The value as the RFC writes it, `BUSY-TENTATIVE` for instance."""
        return _FBTYPE_TEXT[self]


_FBTYPE_TEXT: Final = {member: member.name.replace("_", "-") for member in FbType}


class Period(Struct, frozen=True, order=True):
    """A span `[start, end)` that is not empty. Raises ValueError when it would be."""

    start: Instant
    end: Instant

    def __post_init__(self) -> None:
        if self.start >= self.end:
            message = f"a period must end after it starts: {self.start} >= {self.end}"
            raise ValueError(message)

    def __str__(self) -> str:
        return f"{to_rfc3339(self.start)}/{to_rfc3339(self.end)}"


class BusyPeriod(Struct, frozen=True, order=True):
    """A period with its free/busy type; never FREE in an answer."""

    start: Instant
    end: Instant
    fbtype: FbType


Span = tuple[int, int, int]
"""(start, end, FbType) as plain ints: the form in which thousands of spans are merged."""


def clip(spans: Iterable[Span], window: Period) -> Iterator[Span]:
    """The parts of the spans that lie inside the window; what lies outside or is empty is left out."""
    start, end = window.start, window.end
    for a, b, fbtype in spans:
        low, high = max(a, start), min(b, end)
        if low < high:
            yield low, high, fbtype


def coalesce(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join overlapping and touching spans; sorted, disjoint, empty ones dropped."""
    merged: list[tuple[int, int]] = []
    last_start = last_end = None
    for start, end in sorted(spans):
        if start >= end:
            continue
        if last_end is not None and start <= last_end:
            if end > last_end:
                last_end = end
            continue
        if last_start is not None and last_end is not None:
            merged.append((last_start, last_end))
        last_start, last_end = start, end
    if last_start is not None and last_end is not None:
        merged.append((last_start, last_end))
    return merged


def subtract(spans: list[tuple[int, int]], taken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of `spans` is not in `taken`; both must be sorted and disjoint, as `coalesce` returns them."""
    left: list[tuple[int, int]] = []
    at = 0
    for start, end in spans:
        while at < len(taken) and taken[at][1] <= start:
            at += 1
        cursor, look = start, at
        while look < len(taken) and taken[look][0] < end:
            if taken[look][0] > cursor:
                left.append((cursor, taken[look][0]))
            cursor = max(cursor, taken[look][1])
            look += 1
        if cursor < end:
            left.append((cursor, end))
    return left


def flatten(spans: Iterable[Span]) -> list[Span]:
    """The canonical form: per type merged, where types overlap the stronger wins, sorted and disjoint.

    RFC 4791 §7.10 lets periods of different types overlap; an answer of busyd never overlaps itself.
    """
    by_type: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for start, end, fbtype in spans:
        if fbtype:
            by_type[fbtype].append((start, end))
    taken: list[tuple[int, int]] = []
    flat: list[Span] = []
    for fbtype in sorted(by_type, reverse=True):
        own = coalesce(by_type[fbtype])
        if taken:
            own = subtract(own, taken)
        flat += [(start, end, fbtype) for start, end in own]
        if len(by_type) > 1:
            taken = coalesce([*taken, *own])
    flat.sort()
    return flat


def read_http_date(text: str | None) -> Instant | None:
    """A date as HTTP writes it (RFC 9110 §5.6.7, the two older forms too), or None when it is none."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # most who need periods never see one

    try:
        found = parsedate_to_datetime(text)
        return Instant(int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
    except (ValueError, OverflowError):
        return None


def to_rfc3339(instant: int) -> str:
    """`2026-11-23T09:00:00Z`: how every time leaves busyd. What cannot be written is clamped to year 1 or 9999."""
    if not EARLIEST <= instant <= LATEST:
        instant = min(max(instant, EARLIEST), LATEST)
    return f"{_DATES[instant // 86_400]}T{_MINUTES[instant // 60 % 1440]}:{_DIGITS[instant % 60]}Z"


class _Dates(dict[int, str]):
    """The date so many days after 1970-01-01. Answers are made of times, and most of their days come again."""

    def __missing__(self, day: int) -> str:
        if len(self) >= _MOST_DATES:
            self.clear()
        self[day] = text = date.fromordinal(_FIRST_DAY + day).isoformat()
        return text


_DATES: Final = _Dates()
