"""A rule and DTSTART -> wall times inside a span, reached by arithmetic, never by walking from DTSTART. No zones.

COUNT is the exception: it takes one division if the rule is regular, and counting from DTSTART otherwise.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from busyd.ical.day_sets import PeriodDays
from busyd.ical.limits import MAX_OCCURRENCES, MAX_STEPS
from busyd.ical.rule import Frequency, Rule
from busyd.ical.rule_times import (
    FIRST_WALL,
    LAST_WALL,
    Budget,
    TooManyOccurrences,
    UnknownScale,
    pick_positions,
    scale_of,
    times_of_day,
)
from busyd.ical.scale import BeyondScale, Scale
from busyd.ical.subdaily import runs_of_rule
from busyd.ical.values import DAY


def walls_of_rule(rule: Rule, start: int, *, low: int, high: int, budget: Budget | None = None) -> list[int]:
    """The wall times of a rule of any FREQ from `low` to `high`, both included, sorted.

    Only those that the rule itself yields, at or after `start`; DTSTART, which is always an occurrence, is up to the
    caller. So is UNTIL, which depends on a zone. Raises TooManyOccurrences and UnknownScale.
    """
    low, high = max(low, start, FIRST_WALL), min(high, LAST_WALL)
    if low > high or rule.count == 0:
        return []
    if rule.frequency > Frequency.DAILY:
        runs = list(runs_of_rule(rule, start, low=low, high=high, budget=budget))
        if sum(run.size for run in runs) > MAX_OCCURRENCES:
            raise TooManyOccurrences(low)
        return sorted({wall for run in runs for wall in range(run.first, run.last + 1, run.step)})
    try:
        return _walls_by_day(rule, start, low=low, high=high, scale=scale_of(rule), budget=budget or Budget())
    except BeyondScale as error:
        raise UnknownScale(str(error)) from error


def _walls_by_day(rule: Rule, start: int, *, low: int, high: int, scale: Scale, budget: Budget) -> list[int]:
    start_day, start_time = divmod(start, DAY)
    times = times_of_day(rule, start_time)
    periods = PeriodDays(rule, start_day, scale=scale)
    count = rule.count
    if not times:
        return []
    is_plain = times == [start_time] and rule.by_position is None
    if is_plain and not periods.is_limited and rule.frequency in (Frequency.DAILY, Frequency.WEEKLY):
        high = min(high, _last_even(rule, periods, start_day=start_day, start_time=start_time))
        if rule.frequency is Frequency.DAILY:
            step = rule.interval * DAY
            first = start + max(0, -((start - low) // step)) * step
            return _capped(range(first, high + 1, step))
        return _weekly(rule, periods, time=start_time, low=low, high=high)
    number = 0 if count is not None else max(0, periods.number_of(low // DAY) - 1)
    first_day, last_day = low // DAY, high // DAY
    result: list[int] = []
    latest = start - 1
    for steps in range(MAX_STEPS):
        if not budget.take():
            break
        if periods.first_day(number + steps) > last_day + 7:
            return result
        days = periods.days(number + steps)
        if rule.by_position is not None:
            walls = pick_positions(days, times, positions=rule.by_position)
        else:
            days, passed = _drop_before(days, start_day, first_day=first_day, last_day=last_day)
            if count is not None and passed:
                count -= passed * len(times)
                if count <= 0:
                    return result
            walls = _in_bounds(days, times, most=MAX_OCCURRENCES + 1 - len(result))
        for wall in walls:
            if wall <= latest:
                continue
            latest = wall
            if wall > high:
                return result
            if wall >= low:
                result.append(wall)
            if count is not None:
                count -= 1
                if count == 0:
                    return result
        if len(result) > MAX_OCCURRENCES:
            raise TooManyOccurrences(result[MAX_OCCURRENCES], result[:MAX_OCCURRENCES])
    raise TooManyOccurrences(max(low, latest + 1), result)


def _drop_before(days: Sequence[int], start_day: int, *, first_day: int, last_day: int) -> tuple[Sequence[int], int]:
    """(days that matter, how many of those after DTSTART were skipped because they are before the span)."""
    begin = bisect_left(days, first_day)
    passed = begin - min(begin, bisect_right(days, start_day))
    kept = days[begin : bisect_right(days, last_day)]
    # The day of DTSTART counts only from the time of DTSTART on, so it is not skipped.
    return (kept if begin == passed or days[begin - passed - 1] != start_day else [start_day, *kept]), passed


def _in_bounds(days: Sequence[int], times: Sequence[int], *, most: int) -> list[int]:
    if len(times) == 1:
        at = times[0]
        return [day * DAY + at for day in days]
    return [day * DAY + at for day in days[: most // len(times) + 1] for at in times]


def _weekly(rule: Rule, periods: PeriodDays, *, time: int, low: int, high: int) -> list[int]:
    """A WEEKLY rule without limits: the same days of every week."""
    week = periods.first_day(0)
    step = 7 * rule.interval
    first = week + max(0, (low // DAY - week) // step) * step
    end = high + DAY
    begins = [(first + offset) * DAY + time for offset in periods.offsets]
    walls = [wall for begin in begins for wall in range(begin, end, step * DAY)]
    walls.sort()
    walls = walls[bisect_left(walls, low) : bisect_right(walls, high)]
    if len(walls) > MAX_OCCURRENCES:
        raise TooManyOccurrences(walls[MAX_OCCURRENCES], walls[:MAX_OCCURRENCES])
    return walls


def _last_even(rule: Rule, periods: PeriodDays, *, start_day: int, start_time: int) -> int:
    """The wall time at which COUNT ends a rule that selects the same days of every period."""
    if rule.count is None:
        return LAST_WALL
    if rule.frequency is Frequency.DAILY:
        return (start_day + (rule.count - 1) * rule.interval) * DAY + start_time
    offsets = periods.offsets
    if not offsets:
        return LAST_WALL
    week = periods.first_day(0)
    before = sum(1 for offset in offsets if week + offset < start_day)
    weeks, at = divmod(before + rule.count - 1, len(offsets))
    return (week + weeks * 7 * rule.interval + offsets[at]) * DAY + start_time


def _capped(walls: range) -> list[int]:
    if len(walls) > MAX_OCCURRENCES:
        raise TooManyOccurrences(walls[MAX_OCCURRENCES], walls[:MAX_OCCURRENCES])
    return list(walls)
