"""Calendar scales for rules (RFC 7529 RSCALE): days to years and months, and back. No rules, no times of day.

A day is its number since 1970-01-01. A month is identified by a running index without gaps, so that "every third month"
is simple arithmetic in every calendar; its code is its number, negative for a leap month.
"""

from functools import lru_cache
from typing import Final, NamedTuple, Protocol

from busyd.errors import DataError
from busyd.ical.values import EPOCH


class Month(NamedTuple):
    """One month of one year."""

    first: int
    length: int
    code: int


class Year(NamedTuple):
    """One year: its first day, its length in days, and the indexes of its months."""

    first: int
    length: int
    first_month: int
    months: int


class BeyondScale(DataError):
    """A time outside the range for which a calendar can be computed."""


class Scale(Protocol):
    """A calendar scale. All methods may raise BeyondScale."""

    def month_of(self, day: int) -> int:
        """The running index of the month that contains a day."""

    def month(self, index: int) -> Month:
        """A month by its running index."""

    def year_of(self, day: int) -> int:
        """The number of the year that contains a day."""

    def year(self, number: int) -> Year:
        """A year by its number."""


class Gregorian:
    """The Gregorian calendar of RFC 5545, and scales that only number its years differently."""

    def month_of(self, day: int) -> int:
        year, month, _ = civil(day)
        return year * 12 + month - 1

    def month(self, index: int) -> Month:
        return _gregorian_month(index)

    def year_of(self, day: int) -> int:
        return civil(day)[0]

    def year(self, number: int) -> Year:
        first = days_before_year(number)
        return Year(first, days_before_year(number + 1) - first, number * 12, 12)


GREGORIAN: Final = Gregorian()


def civil(day: int) -> tuple[int, int, int]:
    """(year, month, day of month) in the Gregorian calendar of any day, without a limit on years."""
    # Years are counted from March, so that the leap day is the last one; an era is 400 of them.
    era, of_era = divmod(day + 719_468, 146_097)
    year = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    month = (5 * of_year + 2) // 153
    of_month = of_year - (153 * month + 2) // 5 + 1
    return year + era * 400 + (month >= 10), month + (3 if month < 10 else -9), of_month


def days_before_year(year: int) -> int:
    """The number of 1 January of a year."""
    before = year - 1
    return before * 365 + before // 4 - before // 100 + before // 400 + 1 - EPOCH


@lru_cache(maxsize=2048)
def _gregorian_month(index: int) -> Month:
    year, month = divmod(index, 12)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    first = days_before_year(year) + _BEFORE[month] + (leap and month > 1)
    return Month(first, _LENGTHS[month] + (leap and month == 1), month + 1)


_LENGTHS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_BEFORE: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)
