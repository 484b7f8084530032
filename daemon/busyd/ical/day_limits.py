"""Which days the BY parts of a rule exclude, and the numbered weeks of a year. No periods, no times of day."""

from busyd.ical.rule import Frequency, Rule
from busyd.ical.scale import Scale


def weekday(day: int) -> int:
    """Monday is 0."""
    return (day + 3) % 7


class DayLimits:
    """The BY parts of a rule that exclude days, for frequencies in which they limit (RFC 5545 §3.3.10, the table)."""

    __slots__ = ("_rule", "_scale", "_weekdays", "any")

    def __init__(self, rule: Rule, scale: Scale) -> None:
        self._rule = rule
        self._scale = scale
        self._weekdays: frozenset[int] | None = None
        if rule.by_day is not None and rule.frequency > Frequency.WEEKLY:
            self._weekdays = frozenset(at for _, at in rule.by_day)
        by_date = (rule.by_month, rule.by_month_day, rule.by_year_day, rule.by_week)
        self.any = self._weekdays is not None or any(part is not None for part in by_date)

    def allow(self, day: int) -> bool:
        """Whether all parts allow a day."""
        if self._weekdays is not None and (day + 3) % 7 not in self._weekdays:
            return False
        return self.allow_month_parts(day) and self.allow_year_parts(day)

    def allow_month_parts(self, day: int) -> bool:
        """Whether BYMONTH and BYMONTHDAY allow a day."""
        by_month, by_month_day = self._rule.by_month, self._rule.by_month_day
        if by_month is None and by_month_day is None:
            return True
        month = self._scale.month(self._scale.month_of(day))
        if by_month is not None and month.code not in by_month:
            return False
        if by_month_day is None:
            return True
        at = day - month.first + 1
        return at in by_month_day or at - month.length - 1 in by_month_day

    def allow_year_parts(self, day: int) -> bool:
        """Whether BYYEARDAY and BYWEEKNO allow a day."""
        by_year_day, by_week = self._rule.by_year_day, self._rule.by_week
        if by_year_day is not None:
            year = self._scale.year(self._scale.year_of(day))
            at = day - year.first + 1
            if at not in by_year_day and at - year.length - 1 not in by_year_day:
                return False
        if by_week is not None:
            number = week_year(self._scale, day, week_start=self._rule.week_start)
            first, weeks = weeks_of(self._scale, number, week_start=self._rule.week_start)
            at = (day - first) // 7 + 1
            return at in by_week or at - weeks - 1 in by_week
        return True


def week_year(scale: Scale, day: int, *, week_start: int) -> int:
    """The year whose numbered weeks contain a day (ISO 8601, with any first day of the week)."""
    number = scale.year_of(day)
    if day >= _first_week(scale, number + 1, week_start=week_start):
        return number + 1
    return number if day >= _first_week(scale, number, week_start=week_start) else number - 1


def weeks_of(scale: Scale, number: int, *, week_start: int) -> tuple[int, int]:
    """(first day of week 1, number of weeks): week 1 is the first with at least four days in the year."""
    first = _first_week(scale, number, week_start=week_start)
    return first, (_first_week(scale, number + 1, week_start=week_start) - first) // 7


def _first_week(scale: Scale, number: int, *, week_start: int) -> int:
    fourth = scale.year(number).first + 3
    return fourth - (weekday(fourth) - week_start) % 7
