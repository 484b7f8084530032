"""The non-Gregorian calendars of RFC 7529 that can be computed; imported only when a rule names one.

Calendars that depend on observation or proclamation (ISLAMIC, ISLAMIC-UMALQURA, ISLAMIC-RGSA) cannot be computed; a
rule that uses one is not understood, and blocks.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from busyd.ical.scale import GREGORIAN, BeyondScale, Month, Scale, Year, days_before_year
from busyd.ical.values import EPOCH


class ByYear:
    """A calendar defined by the start of each year and the sequence of its months."""

    def __init__(
        self,
        first_day: Callable[[int], int],
        months: Callable[[int], Sequence[tuple[int, int]]],
        *,
        first_month: Callable[[int], int],
        mean_year: float,
        origin: int,
    ) -> None:
        """`months` gives (code, length) of a year's months, `first_month` the running index of its first month.

        `mean_year` and `origin` (the first day of year 1) are used to estimate the year of a day.
        """
        self._first_day = first_day
        self._months = months
        self._first_month = first_month
        self._mean_year = mean_year
        self._origin = origin

    def year(self, number: int) -> Year:
        first = self._first_day(number)
        return Year(first, self._first_day(number + 1) - first, self._first_month(number), len(self._months(number)))

    def year_of(self, day: int) -> int:
        number = int((day - self._origin) // self._mean_year) + 1
        while self._first_day(number) > day:
            number -= 1
        while self._first_day(number + 1) <= day:
            number += 1
        return number

    def month_of(self, day: int) -> int:
        number = self.year_of(day)
        at, index = self._first_day(number), self._first_month(number)
        for _, length in self._months(number):
            if day < at + length:
                break
            at, index = at + length, index + 1
        return index

    def month(self, index: int) -> Month:
        number = int(index * 30 // self._mean_year)
        while self._first_month(number) > index:
            number -= 1
        while self._first_month(number + 1) <= index:
            number += 1
        at = self._first_day(number)
        months = self._months(number)
        for _, length in months[: index - self._first_month(number)]:
            at += length
        code, length = months[index - self._first_month(number)]
        return Month(at, length, code)


def find_scale(name: str) -> Scale | None:
    """The calendar of an RSCALE value in upper case, or None when it cannot be computed here."""
    return _all_scales().get(name)


def _coptic_like(origin: int) -> ByYear:
    """Twelve months of 30 days and a short one; every fourth year has an extra day (Coptic, Ethiopic)."""

    def months(year: int) -> Sequence[tuple[int, int]]:
        return [*((code, 30) for code in range(1, 13)), (13, 6 if year % 4 == 3 else 5)]

    return ByYear(
        lambda year: origin + 365 * (year - 1) + year // 4,
        months,
        first_month=lambda year: 13 * year,
        mean_year=365.25,
        origin=origin,
    )


def _islamic(origin: int) -> ByYear:
    """The arithmetic calendar of 30-year cycles, in which eleven years have an extra day."""

    def months(year: int) -> Sequence[tuple[int, int]]:
        last = 30 if (11 * year + 14) % 30 < 11 else 29
        return [*((code, 30 - (code + 1) % 2) for code in range(1, 12)), (12, last)]

    return ByYear(
        lambda year: origin + 354 * (year - 1) + (11 * year + 3) // 30,
        months,
        first_month=lambda year: 12 * year,
        mean_year=354.36,
        origin=origin,
    )


def _hebrew_new_year(year: int) -> int:
    """1 Tishri: the molad, postponed so that it does not fall on Sunday, Wednesday or Friday, and so that no year
    becomes too long or too short."""

    def delayed(number: int) -> int:
        months = (235 * number - 234) // 19
        day = 29 * months + (12_084 + 13_753 * months) // 25_920
        return day + 1 if 3 * (day + 1) % 7 < 3 else day

    before, this, after = delayed(year - 1), delayed(year), delayed(year + 1)
    correction = 2 if after - this == 356 else 1 if this - before == 382 else 0
    return _HEBREW_ORIGIN + this + correction


def _hebrew_months(year: int) -> Sequence[tuple[int, int]]:
    length = _hebrew_new_year(year + 1) - _hebrew_new_year(year)
    leap = length > 380
    heshvan = 30 if length % 10 == 5 else 29
    kislev = 29 if length % 10 == 3 else 30
    adar = [(-5, 30), (6, 29)] if leap else [(6, 29)]
    spring = [(7, 30), (8, 29), (9, 30), (10, 29), (11, 30), (12, 29)]
    return [(1, 30), (2, heshvan), (3, kislev), (4, 29), (5, 30), *adar, *spring]


def _persian_months(year: int) -> Sequence[tuple[int, int]]:
    last = _persian_new_year(year + 1) - _persian_new_year(year) - 336
    return [*((code, 31) for code in range(1, 7)), *((code, 30) for code in range(7, 12)), (12, last)]


def _persian_new_year(year: int) -> int:
    """By the 33-year cycle, as devices compute it; correct for all years that matter in practice."""
    return _PERSIAN_ORIGIN + 365 * (year - 1) + (8 * year + 21) // 33


def _indian_new_year(year: int) -> int:
    """22 March, or the 21st in leap years: always the 81st day of the Gregorian year."""
    return days_before_year(year + 78) + 80


def _indian_months(year: int) -> Sequence[tuple[int, int]]:
    first = 30 + _indian_new_year(year + 1) - _indian_new_year(year) - 365
    return [(1, first), *((code, 31) for code in range(2, 7)), *((code, 30) for code in range(7, 13))]


class Chinese:
    """The Chinese calendar, from a table: its months are astronomical, and computed in advance by observatories."""

    def __init__(self) -> None:
        table = msgspec.json.decode(Path(__file__).with_name("chinese_months.json").read_bytes())
        self._first_year: int = table["first_year"]
        self._months: list[Month] = []
        self._years: list[Year] = []
        at = date.fromisoformat(table["first_day"]).toordinal() - EPOCH
        for line in table["years"]:
            leap, _, lengths = line.partition(" ")
            first, first_month = at, len(self._months)
            code = 0
            for letter in lengths:
                code = -code if code == int(leap) and code else abs(code) + 1
                length = 30 if letter == "L" else 29
                self._months.append(Month(at, length, code))
                at += length
            self._years.append(Year(first, at - first, first_month, len(lengths)))
        self._end = at
        self._month_starts = [month.first for month in self._months]
        self._year_starts = [year.first for year in self._years]

    def month_of(self, day: int) -> int:
        return bisect_right(self._month_starts, self._checked(day)) - 1

    def month(self, index: int) -> Month:
        if not 0 <= index < len(self._months):
            raise BeyondScale("the Chinese calendar is known only from 1900 to 2100")
        return self._months[index]

    def year_of(self, day: int) -> int:
        return self._first_year + bisect_right(self._year_starts, self._checked(day)) - 1

    def year(self, number: int) -> Year:
        if not 0 <= number - self._first_year < len(self._years):
            raise BeyondScale("the Chinese calendar is known only from 1900 to 2100")
        return self._years[number - self._first_year]

    def _checked(self, day: int) -> int:
        if not self._year_starts[0] <= day < self._end:
            raise BeyondScale("the Chinese calendar is known only from 1900 to 2100")
        return day


_COPTIC_ORIGIN: Final = 103_605 - EPOCH
_ETHIOPIC_ORIGIN: Final = 2_796 - EPOCH
_ISLAMIC_ORIGIN: Final = 227_015 - EPOCH
_HEBREW_ORIGIN: Final = -1_373_427 - EPOCH
_PERSIAN_ORIGIN: Final = 226_895 - EPOCH


@lru_cache(maxsize=1)
def _all_scales() -> dict[str, Scale]:
    ethiopic = _coptic_like(_ETHIOPIC_ORIGIN)
    hebrew = ByYear(
        _hebrew_new_year,
        _hebrew_months,
        first_month=lambda year: (235 * year - 234) // 19,
        mean_year=365.2468,
        origin=_hebrew_new_year(1),
    )
    persian = ByYear(
        _persian_new_year,
        _persian_months,
        first_month=lambda year: 12 * year,
        mean_year=365.2424,
        origin=_PERSIAN_ORIGIN,
    )
    indian = ByYear(
        _indian_new_year,
        _indian_months,
        first_month=lambda year: 12 * year,
        mean_year=365.2425,
        origin=_indian_new_year(1),
    )
    return {
        **dict.fromkeys(("GREGORY", "ISO8601", "BUDDHIST", "JAPANESE", "ROC"), GREGORIAN),
        **dict.fromkeys(("ETHIOPIC", "ETHIOAA", "ETHIOPIC-AMETE-ALEM"), ethiopic),
        "COPTIC": _coptic_like(_COPTIC_ORIGIN),
        **dict.fromkeys(("ISLAMIC-CIVIL", "ISLAMICC"), _islamic(_ISLAMIC_ORIGIN)),
        "ISLAMIC-TBLA": _islamic(_ISLAMIC_ORIGIN - 1),
        "HEBREW": hebrew,
        "PERSIAN": persian,
        "INDIAN": indian,
        "CHINESE": Chinese(),
    }
