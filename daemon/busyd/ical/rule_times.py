"""Shared by rules of every FREQ: times of day, positions in a set, and the bounds on the work."""

from collections.abc import Iterable, Sequence
from typing import Final

from busyd.errors import DataError
from busyd.ical.limits import MAX_STEPS
from busyd.ical.rule import Rule
from busyd.ical.scale import GREGORIAN, Scale
from busyd.ical.values import DAY, FIRST_DAY, LAST_DAY

FIRST_WALL: Final = FIRST_DAY * DAY
LAST_WALL: Final = (LAST_DAY + 1) * DAY - 1


class TooManyOccurrences(DataError):
    """A rule that goes beyond the bounds. `walls` holds those before `at`; from `at` on nothing is known."""

    def __init__(self, at: int, walls: Sequence[int] = ()) -> None:
        super().__init__("the rule has more occurrences than busyd counts")
        self.at = at
        self.walls = walls


class Budget:
    """The remaining number of steps, shared by all rules of an object. A step is a few microseconds of work."""

    __slots__ = ("left",)

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.left = steps

    def take(self, steps: int = 1) -> bool:
        """Use some steps; False when none are left."""
        self.left -= steps
        return self.left >= 0


class UnknownScale(DataError):
    """A rule in an unknown calendar: well-formed, so the time it may mean counts as busy."""


def scale_of(rule: Rule) -> Scale:
    """The calendar a rule counts in. Raises UnknownScale."""
    if rule.scale == "GREGORIAN":
        return GREGORIAN
    from busyd.ical.rscale import find_scale

    scale = find_scale(rule.scale)
    if scale is None:
        message = f"RSCALE={rule.scale[:20]} is an unknown calendar scale"
        raise UnknownScale(message)
    return scale


def times_of_day(rule: Rule, start_time: int) -> list[int]:
    """All times of day that BYHOUR, BYMINUTE and BYSECOND allow, in seconds, sorted; the defaults are DTSTART's."""
    if rule.by_hour is None and rule.by_minute is None and rule.by_second is None:
        return [start_time]
    hours = rule.by_hour if rule.by_hour is not None else (start_time // 3600,)
    return [hour * 3600 + rest for hour in hours for rest in in_hour(rule, start_time)]


def in_hour(rule: Rule, start_time: int) -> list[int]:
    """The same inside an hour."""
    minutes = rule.by_minute if rule.by_minute is not None else (start_time // 60 % 60,)
    return [minute * 60 + second for minute in minutes for second in in_minute(rule, start_time)]


def in_minute(rule: Rule, start_time: int) -> tuple[int, ...]:
    """The same inside a minute."""
    return rule.by_second if rule.by_second is not None else (start_time % 60,)


def pick_positions(days: Sequence[int], times: Sequence[int], *, positions: Iterable[int]) -> list[int]:
    """BYSETPOS: some of all times of all days of a period, without listing them all."""
    size = len(days) * len(times)
    picked = sorted({at - 1 if at > 0 else size + at for at in positions if -size <= at <= size})
    return [days[at // len(times)] * DAY + times[at % len(times)] for at in picked]
