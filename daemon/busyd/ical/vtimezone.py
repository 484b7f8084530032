"""A VTIMEZONE -> a table of clock changes. Used only for names that are defined nowhere but in their own object.

The first observance counts for all time before it, which is the intention of zones that start in 1601.
"""

from functools import lru_cache
from typing import Final

from msgspec import Struct

from busyd.errors import DataError
from busyd.ical.limits import MAX_OBSERVANCES, MAX_ONSETS
from busyd.ical.lines import all_properties
from busyd.ical.rule import BadRule, Frequency, read_rule
from busyd.ical.rule_expansion import walls_of_rule
from busyd.ical.rule_times import Budget, TooManyOccurrences, UnknownScale
from busyd.ical.values import DAY, BadValue, day_number, read_time
from busyd.ical.zone_transitions import CYCLE, Zone

_FROM: Final = day_number(1900, 1, day=1) * DAY
_CYCLE: Final = CYCLE + 3 * 366 * DAY
"""Rules are expanded until this long after the last DTSTART; after that, the preceding 400 years repeat."""


class UnreadableDefinition(DataError):
    """An invalid VTIMEZONE; the message says why."""


class _Observance(Struct):
    start: str = ""
    offset_from: str = ""
    offset_to: str = ""
    rules: list[str] | None = None
    dates: list[str] | None = None


@lru_cache(maxsize=128)
def read_definition(tzid: str, block: str) -> Zone:
    """The zone that a VTIMEZONE defines. Raises UnreadableDefinition.

    Cached by the whole text, never by TZID: two objects may define one name differently.
    """
    try:
        observances = _observances(block)
        end = max([_FROM, *(read_time(observance.start).wall for observance in observances)]) + _CYCLE
        onsets: list[tuple[int, int]] = []
        budget = Budget()
        for observance in observances:
            onsets += _onsets(observance, end, budget=budget)
            if len(onsets) > MAX_ONSETS:
                raise UnreadableDefinition("it has too many clock changes")
    except (BadValue, BadRule, TooManyOccurrences, UnknownScale) as error:
        raise UnreadableDefinition(str(error)) from error
    if not onsets:
        raise UnreadableDefinition("it has no STANDARD or DAYLIGHT part")
    onsets.sort()
    repeats = onsets[-1][0] > end - 2 * 366 * DAY
    return Zone(tzid, onsets[0][1], changes=onsets, repeats=repeats)


def _observances(block: str) -> list[_Observance]:
    observances: list[_Observance] = []
    current: _Observance | None = None
    for name, _, value in all_properties(block):
        text = value.strip()
        if name == "BEGIN":
            current = _Observance(rules=[], dates=[])
            observances.append(current)
        elif name == "END":
            current = None
        elif current is not None:
            if name == "DTSTART":
                current.start = text
            elif name == "TZOFFSETFROM":
                current.offset_from = text
            elif name == "TZOFFSETTO":
                current.offset_to = text
            elif name == "RRULE" and current.rules is not None:
                current.rules.append(text)
            elif name == "RDATE" and current.dates is not None:
                current.dates.extend(text.split(","))
        if len(observances) > MAX_OBSERVANCES:
            raise UnreadableDefinition("it has too many STANDARD and DAYLIGHT parts")
    return observances


def _onsets(observance: _Observance, end: int, *, budget: Budget) -> list[tuple[int, int]]:
    """(instant, offset from then on) of every onset; onset times are on the clock before the change."""
    before = _offset(observance.offset_from or observance.offset_to)
    after = _offset(observance.offset_to)
    start = read_time(observance.start).wall
    walls = {start}
    for date in observance.dates or ():
        local = read_time(date.partition("/")[0].strip())
        walls.add(local.wall + before if local.is_utc else local.wall)
    for text in observance.rules or ():
        walls |= _rule_walls(text, start, before=before, end=end, budget=budget)
    return [(wall - before, after) for wall in walls]


def _rule_walls(text: str, start: int, *, before: int, end: int, budget: Budget) -> set[int]:
    if not text:
        return set()
    rule = read_rule(text)
    if rule.frequency > Frequency.MONTHLY:
        raise UnreadableDefinition("it has too many clock changes")
    high = end
    if rule.until:
        until = read_time(rule.until)
        high = min(high, until.wall + before if until.is_utc else until.wall + (DAY - 1 if until.is_date else 0))
    return set(walls_of_rule(rule, start, low=max(start, _FROM), high=high, budget=budget))


def _offset(text: str) -> int:
    """Seconds east of UTC of `+0100`, `-033000` and the like. Raises BadValue."""
    digits = text.lstrip("+-").replace(":", "")
    if not digits.isascii() or not digits.isdigit() or len(digits) not in (2, 4, 6):
        message = f"{text[:20]!r} is not an offset from UTC"
        raise BadValue(message)
    padded = digits.ljust(6, "0")
    seconds = int(padded[:2]) * 3600 + int(padded[2:4]) * 60 + int(padded[4:])
    if seconds >= DAY:
        message = f"{text[:20]!r} is not an offset from UTC"
        raise BadValue(message)
    return -seconds if text.startswith("-") else seconds
