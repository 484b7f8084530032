"""Which days a rule selects in one of its periods, counted from the period of DTSTART. No times of day, no zones."""

from collections.abc import Iterable, Sequence

from busyd.ical.day_limits import DayLimits, week_year, weekday, weeks_of
from busyd.ical.rule import Frequency, Rule, Skip
from busyd.ical.scale import Month, Scale


class PeriodDays:
    """The periods of a rule of FREQ DAILY or longer, by number; 0 is the one that contains DTSTART."""

    __slots__ = ("_base", "_default_code", "_default_day", "_limits", "_offsets", "_rule", "_scale", "_start")

    def __init__(self, rule: Rule, start_day: int, *, scale: Scale) -> None:
        self._rule = rule
        self._scale = scale
        self._start = start_day
        self._offsets: tuple[int, ...] = ()
        self._limits = DayLimits(rule, scale)
        frequency = rule.frequency
        if frequency is Frequency.YEARLY:
            self._base = (
                scale.year_of(start_day)
                if rule.by_week is None
                else week_year(scale, start_day, week_start=rule.week_start)
            )
        elif frequency is Frequency.MONTHLY:
            self._base = scale.month_of(start_day)
        elif frequency is Frequency.WEEKLY:
            self._base = start_day - (weekday(start_day) - rule.week_start) % 7
            weekdays = {weekday(start_day)} if rule.by_day is None else {at for _, at in rule.by_day}
            self._offsets = tuple(sorted((at - rule.week_start) % 7 for at in weekdays))
        else:
            self._base = start_day
        if frequency <= Frequency.MONTHLY:
            month = scale.month(scale.month_of(start_day))
            self._default_day = start_day - month.first + 1
            self._default_code = month.code

    def number_of(self, day: int) -> int:
        """The number of the period that contains a day; periods that INTERVAL skips belong to the previous one."""
        return self._distance(day) // self._rule.interval

    def _distance(self, day: int) -> int:
        frequency = self._rule.frequency
        if frequency is Frequency.DAILY:
            return day - self._base
        if frequency is Frequency.WEEKLY:
            return (day - self._base) // 7
        if frequency is Frequency.MONTHLY:
            return self._scale.month_of(day) - self._base
        return self._scale.year_of(day) - self._base

    def first_day(self, number: int) -> int:
        """The first day of a period."""
        at = self._base + number * self._rule.interval * (7 if self._rule.frequency is Frequency.WEEKLY else 1)
        if self._rule.frequency is Frequency.MONTHLY:
            return self._scale.month(at).first
        return self._scale.year(at).first if self._rule.frequency is Frequency.YEARLY else at

    @property
    def offsets(self) -> tuple[int, ...]:
        """For a WEEKLY rule, the days it selects, counted from the first day of the week."""
        return self._offsets

    @property
    def is_limited(self) -> bool:
        """For a WEEKLY or DAILY rule: whether other BY parts exclude some of its days."""
        return self._limits.any

    def days(self, number: int) -> Sequence[int]:
        """The days of a period, sorted, without duplicates. With SKIP they may reach into a neighbouring period."""
        frequency = self._rule.frequency
        if frequency is Frequency.DAILY:
            day = self._base + number * self._rule.interval
            return (day,) if not self._limits.any or self._limits.allow(day) else ()
        if frequency is Frequency.WEEKLY:
            first = self._base + number * self._rule.interval * 7
            days = [first + offset for offset in self._offsets]
            return [day for day in days if self._limits.allow(day)] if self._limits.any else days
        at = self._base + number * self._rule.interval
        days = self._days_of_month(at) if frequency is Frequency.MONTHLY else self._days_of_year(at)
        return sorted(set(days))

    def _days_of_month(self, index: int) -> list[int]:
        rule, month = self._rule, self._scale.month(index)
        if rule.by_month is not None and month.code not in rule.by_month:
            return []
        if rule.by_month_day is None and (rule.by_year_day is not None or rule.by_week is not None):
            # RFC 5545 forbids both parts here; they are read as limits on the days that the other parts allow.
            days = _weekdays_of_month(month, rule.by_day) if rule.by_day is not None else _all_days(month)
            if rule.by_day is None and rule.by_year_day is None:
                days = [day for day in days if weekday(day) == weekday(self._start)]
        else:
            days = self._pick_in_month(month)
        return [day for day in days if self._limits.allow_year_parts(day)]

    def _pick_in_month(self, month: Month) -> list[int]:
        rule = self._rule
        if rule.by_month_day is None and rule.by_day is not None:
            return _weekdays_of_month(month, rule.by_day)
        numbers = rule.by_month_day if rule.by_month_day is not None else (self._default_day,)
        days = _month_days(month, numbers, skip=rule.skip)
        if rule.by_day is not None:
            allowed = set(_weekdays_of_month(month, rule.by_day))
            days = [day for day in days if day in allowed]
        return days

    def _days_of_year(self, number: int) -> list[int]:
        rule, scale = self._rule, self._scale
        if rule.by_week is not None:
            days = self._days_of_weeks(number)
        elif rule.by_year_day is not None:
            days = _year_days(scale, number, rule=rule)
        elif rule.by_month_day is None and rule.by_day is not None and rule.by_month is None:
            year = scale.year(number)
            return _weekdays_between(year.first, year.length, by_day=rule.by_day)
        elif rule.by_month is None and rule.by_month_day is not None and rule.by_day is not None:
            # RFC 5545 §3.3.10: BYMONTHDAY expands to days of every month, which BYDAY (note 2) then limits.
            year = scale.year(number)
            months = map(scale.month, range(year.first_month, year.first_month + year.months))
            days = [day for month in months for day in _month_days(month, rule.by_month_day, skip=rule.skip)]
            return self._limit_by_weekday(days, number)
        else:
            codes = rule.by_month if rule.by_month is not None else (self._default_code,)
            return [
                day
                for month in _months(scale, number, codes=codes, skip=rule.skip)
                for day in self._pick_in_month(month)
            ]
        return self._limit_in_year(days, number)

    def _days_of_weeks(self, number: int) -> list[int]:
        rule = self._rule
        first, weeks = weeks_of(self._scale, number, week_start=rule.week_start)
        if rule.by_day is not None:
            weekdays = {at for _, at in rule.by_day}
        elif rule.by_month_day is not None or rule.by_year_day is not None:
            weekdays = set(range(7))
        else:
            weekdays = {weekday(self._start)}
        offsets = [(at - rule.week_start) % 7 for at in weekdays]
        days: list[int] = []
        for week in rule.by_week or ():
            at = week - 1 if week > 0 else weeks + week
            if 0 <= at < weeks:
                days += [first + 7 * at + offset for offset in offsets]
        return days

    def _limit_in_year(self, days: list[int], number: int) -> list[int]:
        rule, limits = self._rule, self._limits
        if rule.by_month is not None or rule.by_month_day is not None:
            days = [day for day in days if limits.allow_month_parts(day)]
        if rule.by_week is not None:
            return [day for day in days if limits.allow_year_parts(day)] if rule.by_year_day is not None else days
        return self._limit_by_weekday(days, number)

    def _limit_by_weekday(self, days: list[int], number: int) -> list[int]:
        """Numbers of BYDAY count in the month where there is BYMONTH, else in the year."""
        rule, scale = self._rule, self._scale
        if rule.by_day is None:
            return days
        if rule.by_month is not None:
            months = {scale.month_of(day) for day in days}
            allowed = {day for at in months for day in _weekdays_of_month(scale.month(at), rule.by_day)}
        else:
            year = scale.year(number)
            allowed = set(_weekdays_between(year.first, year.length, by_day=rule.by_day))
            allowed |= {day for day in days if (0, weekday(day)) in rule.by_day}
        return [day for day in days if day in allowed]


def _months(scale: Scale, number: int, *, codes: Iterable[int], skip: Skip) -> list[Month]:
    year = scale.year(number)
    months = {month.code: month for month in map(scale.month, range(year.first_month, year.first_month + year.months))}
    chosen: list[Month] = []
    for code in codes:
        at = code
        if code < 0 and code not in months and skip is not Skip.OMIT:
            at = -code if skip is Skip.BACKWARD else 1 - code
        if at in months:
            chosen.append(months[at])
    return chosen


def _month_days(month: Month, numbers: Iterable[int], *, skip: Skip) -> list[int]:
    days: list[int] = []
    for number in numbers:
        at = number - 1 if number > 0 else month.length + number
        if 0 <= at < month.length:
            days.append(month.first + at)
        elif skip is not Skip.OMIT:
            days.append(_nearest(month.first, month.length, at=at, skip=skip))
    return days


def _year_days(scale: Scale, number: int, *, rule: Rule) -> list[int]:
    year = scale.year(number)
    days: list[int] = []
    for wanted in rule.by_year_day or ():
        at = wanted - 1 if wanted > 0 else year.length + wanted
        if 0 <= at < year.length:
            days.append(year.first + at)
        elif rule.skip is not Skip.OMIT:
            days.append(_nearest(year.first, year.length, at=at, skip=rule.skip))
    return days


def _nearest(first: int, length: int, *, at: int, skip: Skip) -> int:
    """RFC 7529 §4.1: a date that does not exist becomes the last date before or the first date after the gap."""
    if at < 0:
        return first - 1 if skip is Skip.BACKWARD else first
    return first + length - 1 if skip is Skip.BACKWARD else first + length


def _all_days(month: Month) -> list[int]:
    return list(range(month.first, month.first + month.length))


def _weekdays_of_month(month: Month, by_day: Iterable[tuple[int, int]]) -> list[int]:
    return _weekdays_between(month.first, month.length, by_day=by_day)


def _weekdays_between(first: int, length: int, *, by_day: Iterable[tuple[int, int]]) -> list[int]:
    days: list[int] = []
    end = first + length
    for number, at in by_day:
        day = first + (at - first - 3) % 7
        if number > 0:
            day += 7 * (number - 1)
            if day < end:
                days.append(day)
        elif number < 0:
            last = end - 1 - (end - 1 + 3 - at) % 7
            day = last + 7 * (number + 1)
            if day >= first:
                days.append(day)
        else:
            days.extend(range(day, end, 7))
    return days
