"""RRULE text -> a Rule, as RFC 5545 §3.3.10 and RFC 7529 define it, and as calendars misspell it. Expands nothing."""

import re
from enum import IntEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.errors import DataError
from busyd.ical.values import DAY, BadValue, read_time


class Frequency(IntEnum):
    """FREQ, from the longest period to the shortest."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class Skip(IntEnum):
    """RFC 7529 §4.1 SKIP: what becomes of a date that does not exist."""

    OMIT = 0
    BACKWARD = 1
    FORWARD = 2


class BadRule(DataError):
    """A recurrence rule that cannot be read: only the first occurrence of the event is known."""


class Rule(Struct, frozen=True):
    """One recurrence rule. Lists are sorted and without duplicates; None means the part is absent.

    An empty list is not None: it held only values that match nothing.
    """

    frequency: Frequency
    interval: int = 1
    count: int | None = None
    until: str = ""
    """The readable part of it, as written: its meaning depends on the zone of DTSTART."""
    by_month: tuple[int, ...] | None = None
    """Month numbers; a leap month (`5L`) is negative."""
    by_week: tuple[int, ...] | None = None
    by_year_day: tuple[int, ...] | None = None
    by_month_day: tuple[int, ...] | None = None
    by_day: tuple[tuple[int, int], ...] | None = None
    """(number or 0, weekday with Monday 0)."""
    by_hour: tuple[int, ...] | None = None
    by_minute: tuple[int, ...] | None = None
    by_second: tuple[int, ...] | None = None
    by_position: tuple[int, ...] | None = None
    week_start: int = 0
    scale: str = "GREGORIAN"
    skip: Skip = Skip.OMIT
    oddities: tuple[str, ...] = ()
    """What had to be ignored, as sentences."""


@lru_cache(maxsize=2048)
def read_rule(text: str) -> Rule:
    """Parse the value of an RRULE. Raises BadRule when a part that it has cannot be read, or is misspelt.

    Unknown and empty parts are ignored. A part that is repeated must say the same. BY values outside their range match
    nothing.
    """
    parts: dict[str, str] = {}
    oddities: list[str] = []
    for part in text.strip().strip(";").split(";"):
        name, equals, value = part.partition("=")
        name, value = name.strip().upper(), value.strip()
        if equals and name in _PARTS:
            if value:
                if parts.setdefault(name, value).upper() != value.upper():
                    message = f"the rule has {name} twice, as {parts[name][:20]} and as {value[:20]}"
                    raise BadRule(message)
            else:
                _note(oddities, f"{name} in the rule is empty, so it says nothing")
        elif name and _is_misspelt(name):
            message = f"the part {part[:20]!r} of the rule is misspelt"
            raise BadRule(message)
        elif name or equals:
            _note(oddities, f"the part {part[:20]!r} of the rule is unknown")
    frequency = Frequency.__members__.get(parts.get("FREQ", "").upper())
    if frequency is None:
        message = f"the rule has no usable FREQ ({parts.get('FREQ', '')[:20]!r})"
        raise BadRule(message)
    interval = _number(parts.get("INTERVAL", "1"), oddities)
    if interval is None or interval < 1:
        message = f"INTERVAL={parts['INTERVAL'][:20]} is not a number of periods"
        raise BadRule(message)
    count = None
    if "COUNT" in parts:
        count = _number(parts["COUNT"], oddities)
        if count is None or count < 0:
            message = f"COUNT={parts['COUNT'][:20]} is not a number of occurrences"
            raise BadRule(message)
    scale = parts.get("RSCALE", "").upper() or "GREGORIAN"
    numbers = {
        name: _numbers(parts[name], low, high=high, signed=signed, oddities=oddities, name=name)
        if name in parts
        else None
        for name, (low, high, signed) in _RANGES.items()
    }
    by_day = _by_day(parts["BYDAY"], frequency, oddities=oddities) if "BYDAY" in parts else None
    week_start = _DAY.fullmatch(parts.get("WKST", "MO").upper())
    skip = Skip.__members__.get(parts.get("SKIP", "OMIT").upper())
    if week_start is None or skip is None:
        message = f"{'WKST' if week_start is None else 'SKIP'} of the rule cannot be read"
        raise BadRule(message)
    return Rule(
        frequency=frequency,
        interval=interval,
        count=count,
        until=_until(parts["UNTIL"], oddities) if "UNTIL" in parts else "",
        by_month=_months(parts["BYMONTH"], scale, oddities=oddities) if "BYMONTH" in parts else None,
        by_week=numbers["BYWEEKNO"],
        by_year_day=numbers["BYYEARDAY"],
        by_month_day=numbers["BYMONTHDAY"],
        by_day=by_day,
        by_hour=numbers["BYHOUR"],
        by_minute=numbers["BYMINUTE"],
        by_second=numbers["BYSECOND"],
        by_position=numbers["BYSETPOS"],
        week_start=WEEKDAYS[week_start[2]],
        scale=scale,
        skip=skip,
        oddities=tuple(oddities),
    )


def by_days(rule: Rule) -> Rule:
    """A rule for a DATE: times of day are ignored (RFC 5545 §3.3.10), and hours are counted as days."""
    if rule.frequency <= Frequency.DAILY:
        if rule.by_hour is None and rule.by_minute is None and rule.by_second is None:
            return rule
        return replace(rule, by_hour=None, by_minute=None, by_second=None)
    unit = {Frequency.HOURLY: 3600, Frequency.MINUTELY: 60, Frequency.SECONDLY: 1}[rule.frequency] * rule.interval
    count = None if rule.count is None else -(-rule.count * min(unit, DAY) // DAY)
    return replace(
        rule,
        frequency=Frequency.DAILY,
        interval=max(1, unit // DAY),
        count=count,
        by_hour=None,
        by_minute=None,
        by_second=None,
    )


WEEKDAYS: Final = {"MO": 0, "TU": 1, "WE": 2, "TH": 3, "FR": 4, "SA": 5, "SU": 6}
_RANGES: Final = {
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 400, True),
    "BYMONTHDAY": (1, 32, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}
_PARTS: Final = frozenset(
    (*_RANGES, "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYMONTH", "BYDAY", "WKST", "RSCALE", "SKIP")
)
_LONG_PARTS: Final = tuple(sorted(_PARTS, key=len, reverse=True))
_DAY: Final = re.compile(
    r"([+-]?\d{1,3})?\s*(MO|TU|WE|TH|FR|SA|SU)(?:(?<=MO)N|(?<=TU)ES?|(?<=WE)D(?:NES)?|(?<=TH)U(?:RS?)?|(?<=FR)I|"
    r"(?<=SA)T(?:UR)?|(?<=SU)N)?(?:(?<=[NSIR])DAY)?",
    re.ASCII,
)
"""A weekday, also when its name is written out in English or shortened otherwise."""
_MONTH: Final = re.compile(r"(\d{1,2})(L?)", re.ASCII)
_INTEGER: Final = re.compile(r"([+-]?\d{1,9})(\.0*)?", re.ASCII)
_UNTIL: Final = re.compile(r"\d{8}(?:[Tt]\d{6}[Zz]?)?", re.ASCII)


def _is_misspelt(name: str) -> bool:
    """Whether an unknown part is likely to be one that matters: then what it says is not known."""
    from difflib import get_close_matches  # hardly ever needed

    return name.startswith(_LONG_PARTS) or bool(get_close_matches(name, _PARTS, n=1, cutoff=0.75))


def _number(text: str, oddities: list[str]) -> int | None:
    written = _INTEGER.fullmatch(text)
    if written is None:
        return None
    if written[2]:
        _note(oddities, f"{text[:20]!r} in the rule is read as {written[1]}")
    return int(written[1])


def _until(text: str, oddities: list[str]) -> str:
    """The readable part of UNTIL. Raises BadRule when it has none."""
    try:
        read_time(text)
    except BadValue as error:
        part = _UNTIL.match(text)
        try:
            readable = part[0] if part is not None else ""
            read_time(readable)
        except BadValue:
            message = f"UNTIL cannot be read: {error}"
            raise BadRule(message) from None
        _note(oddities, f"UNTIL={text[:20]} is read as {readable}")
        return readable
    return text


def _items(text: str, name: str, *, oddities: list[str]) -> list[str]:
    """The values of a list; an empty one says nothing."""
    items = list(filter(None, map(str.strip, text.upper().split(","))))
    if not items or text.count(",") >= len(items):
        _note(oddities, f"{name} in the rule has an empty value, which says nothing")
    return items


def _unreadable(name: str, item: str) -> BadRule:
    return BadRule(f"{name}={item[:20]} cannot be read")


def _numbers(text: str, low: int, *, high: int, signed: bool, oddities: list[str], name: str) -> tuple[int, ...] | None:
    numbers: set[int] = set()
    items = _items(text, name, oddities=oddities)
    for item in items:
        number = _number(item, oddities)
        if number is None:
            raise _unreadable(name, item)
        if low <= number <= high or (signed and low <= -number <= high):
            numbers.add(number)
        else:
            _note(oddities, f"{name}={item[:20]} matches nothing")
    return tuple(sorted(numbers)) if items else None


def _months(text: str, scale: str, *, oddities: list[str]) -> tuple[int, ...] | None:
    months: set[int] = set()
    items = _items(text, "BYMONTH", oddities=oddities)
    for item in items:
        match = _MONTH.fullmatch(item)
        if match is None:
            raise _unreadable("BYMONTH", item)
        number, leap = int(match[1]), bool(match[2])
        if 1 <= number <= (12 if scale == "GREGORIAN" else 13) and not (leap and scale == "GREGORIAN"):
            months.add(-number if leap else number)
        else:
            _note(oddities, f"BYMONTH={item[:20]} matches nothing")
    return tuple(sorted(months)) if items else None


def _by_day(text: str, frequency: Frequency, *, oddities: list[str]) -> tuple[tuple[int, int], ...] | None:
    days: set[tuple[int, int]] = set()
    items = _items(text, "BYDAY", oddities=oddities)
    for item in items:
        match = _DAY.fullmatch(item)
        if match is None:
            raise _unreadable("BYDAY", item)
        number = int(match[1] or 0)
        if item != f"{match[1] or ''}{match[2]}":
            _note(oddities, f"BYDAY={item[:20]} is read as {match[1] or ''}{match[2]}")
        if abs(number) > 53 or (match[1] and number == 0):
            _note(oddities, f"BYDAY={item[:20]} matches nothing")
        elif number and frequency > Frequency.MONTHLY:
            # RFC 5545 §3.3.10 forbids numbers here; implementations that accept them use the plain weekday.
            _note(oddities, f"BYDAY={item[:20]} has a number where none is allowed")
            days.add((0, WEEKDAYS[match[2]]))
        else:
            days.add((number, WEEKDAYS[match[2]]))
    return tuple(sorted(days)) if items else None


def _note(oddities: list[str], sentence: str) -> None:
    if len(oddities) < 5:
        oddities.append(sentence)
