"""Rules of hours, minutes and seconds -> evenly spaced wall times inside a span, computed arithmetically. No zones."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from busyd.ical.day_limits import DayLimits
from busyd.ical.limits import MAX_STEPS
from busyd.ical.rule import Frequency, Rule
from busyd.ical.rule_times import (
    FIRST_WALL,
    LAST_WALL,
    Budget,
    TooManyOccurrences,
    in_hour,
    in_minute,
    pick_positions,
    scale_of,
)
from busyd.ical.scale import Scale
from busyd.ical.values import DAY


class Run(NamedTuple):
    """Evenly spaced wall times from `first` to `last`, both included."""

    first: int
    last: int
    step: int

    @property
    def size(self) -> int:
        return (self.last - self.first) // self.step + 1


def runs_of_rule(rule: Rule, start: int, *, low: int, high: int, budget: Budget | None = None) -> Iterator[Run]:
    """The wall times of a rule of FREQ HOURLY, MINUTELY or SECONDLY from `low` to `high`, both included.

    Runs may interleave; none is empty.

    Rules of hours, minutes and seconds step on the wall clock too. Raises TooManyOccurrences and UnknownScale.
    """
    low, high = max(low, start, FIRST_WALL), min(high, LAST_WALL)
    if low > high or rule.count == 0:
        return
    windows = _Windows(rule, start, scale=scale_of(rule), budget=budget or Budget())
    if rule.count is not None:
        last = windows.last_counted(rule.count, high)
        high = high if last is None else min(high, last)
    yield from windows.runs(low, high)


class _Windows:
    """A rule below DAILY: the allowed parts of a day, and the steps inside them."""

    __slots__ = ("_budget", "_inside", "_limits", "_parts", "_patterns", "_start", "_step", "_unit")

    def __init__(self, rule: Rule, start: int, *, scale: Scale, budget: Budget) -> None:
        self._budget = budget
        self._start = start
        self._unit = {Frequency.HOURLY: 3600, Frequency.MINUTELY: 60, Frequency.SECONDLY: 1}[rule.frequency]
        self._step = self._unit * rule.interval
        time = start % DAY
        inside: Sequence[int]
        if rule.frequency is Frequency.HOURLY:
            inside = in_hour(rule, time)
        else:
            inside = in_minute(rule, time) if rule.frequency is Frequency.MINUTELY else (0,)
        self._inside = inside if rule.by_position is None else pick_positions((0,), inside, positions=rule.by_position)
        self._limits = DayLimits(rule, scale)
        self._parts = _allowed_parts(rule)
        self._patterns: dict[int, list[Run]] = {}

    @property
    def _is_even(self) -> bool:
        return not self._limits.any and self._parts == [(0, DAY)]

    def runs(self, low: int, high: int) -> Iterator[Run]:
        """All runs from `low` to `high`, both included."""
        if self._is_even:
            yield from self._cut(self._runs_between(self._unit_floor(self._start), high + 1), low, high=high)
            return
        for steps, day in enumerate(range(low // DAY, high // DAY + 1)):
            if steps > MAX_STEPS or not self._budget.take():
                raise TooManyOccurrences(max(low, day * DAY))
            if not self._limits.any or self._limits.allow(day):
                yield from self._cut(self._of_day(day), low, high=high)

    def last_counted(self, count: int, high: int) -> int | None:
        """The wall time of the COUNTth occurrence, or None when it is after `high`."""
        if not self._inside:
            return None
        if self._is_even:
            first = self._unit_floor(self._start)
            before = sum(1 for rest in self._inside if first + rest < self._start)
            units, at = divmod(before + count - 1, len(self._inside))
            return first + units * self._step + self._inside[at]
        steps = 0
        for day in range(self._start // DAY, high // DAY + 1):
            steps += 1
            if self._limits.any and not self._limits.allow(day):
                continue
            runs = list(self._cut(self._of_day(day), self._start, high=(day + 1) * DAY - 1))
            size = sum(run.size for run in runs)
            if size >= count:
                return sorted(wall for run in runs for wall in range(run.first, run.last + 1, run.step))[count - 1]
            count -= size
            steps += len(runs)
            if steps > MAX_STEPS or not self._budget.take():
                raise TooManyOccurrences(self._start)
        return None

    def _of_day(self, day: int) -> list[Run]:
        start = day * DAY
        phase = (start - self._unit_floor(self._start)) % self._step
        pattern = self._patterns.get(phase)
        if pattern is None:
            pattern = [
                Run(run.first - start, run.last - start, run.step)
                for begin, end in self._parts
                for run in self._runs_between(start + begin, start + end)
            ]
            self._budget.take(len(self._parts) // 4)
            if len(self._patterns) < 2000:
                self._patterns[phase] = pattern
        self._budget.take(len(pattern) // 8)
        return [Run(start + first, start + last, step) for first, last, step in pattern]

    def _runs_between(self, begin: int, end: int) -> Iterator[Run]:
        """Runs whose units start in [begin, end)."""
        origin = self._unit_floor(self._start)
        first = begin + (origin - begin) % self._step
        if first < end:
            last = first + (end - 1 - first) // self._step * self._step
            for rest in self._inside:
                yield Run(first + rest, last + rest, self._step)

    def _cut(self, runs: Iterable[Run], low: int, *, high: int) -> Iterator[Run]:
        low = max(low, self._start)
        for first, last, step in runs:
            begin = first if first >= low else first + -(-(low - first) // step) * step
            end = last if last <= high else last - -(-(last - high) // step) * step
            if begin <= end:
                yield Run(begin, end, step)

    def _unit_floor(self, wall: int) -> int:
        return wall - wall % self._unit


def _allowed_parts(rule: Rule) -> list[tuple[int, int]]:
    """The parts of a day in which units of the rule may start, merged."""
    hours = range(24) if rule.by_hour is None else rule.by_hour
    parts = [(hour * 3600, hour * 3600 + 3600) for hour in hours]
    if rule.frequency >= Frequency.MINUTELY and rule.by_minute is not None:
        parts = [(begin + m * 60, begin + m * 60 + 60) for begin, _ in parts for m in rule.by_minute]
    if rule.frequency is Frequency.SECONDLY and rule.by_second is not None:
        minutes = [at for begin, end in parts for at in range(begin, end, 60)]
        parts = [(at + s, at + s + 1) for at in minutes for s in rule.by_second]
    joined: list[tuple[int, int]] = []
    for begin, end in parts:
        if joined and joined[-1][1] == begin:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined
