"""The value types of RFC 5545 §3.3 for times: DATE, DATE-TIME, DURATION, PERIOD. Texts in, numbers out, no zones.

A local time is a *wall* time: seconds since 1970-01-01T00:00:00 on a clock without a zone. A day is its number since
then.
"""

import re
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple

from msgspec import Struct

from busyd.errors import DataError
from busyd.ical.limits import MAX_LENGTH

DAY: Final = 86_400
EPOCH: Final = date(1970, 1, 1).toordinal()
FIRST_DAY: Final = 1 - EPOCH
LAST_DAY: Final = date(9999, 12, 31).toordinal() - EPOCH


class BadValue(DataError):
    """A text that is not a value of its type."""


class LocalTime(NamedTuple):
    """A DATE or DATE-TIME as written, before its zone is known."""

    wall: int
    is_date: bool
    is_utc: bool


class Length(Struct, frozen=True):
    """A DURATION: nominal days, exact seconds (RFC 5545 §3.3.6). Both carry the sign."""

    days: int = 0
    seconds: int = 0

    @property
    def total(self) -> int:
        """Seconds, taking every day as 24 hours."""
        return self.days * DAY + self.seconds


def read_time(text: str) -> LocalTime:
    """A DATE or DATE-TIME, told apart by its form alone (VALUE= is often missing or wrong). Raises BadValue.

    Year 0000 is clamped to the first day that can be written; second 60 is 59 (RFC 5545 §3.3.12); `T24` is the next
    midnight; extended ISO 8601 forms with hyphens, colons and an offset from UTC are accepted.
    """
    size = len(text)
    if size == 15:
        return LocalTime(_midnight(text[:8]) + _time_of_day(text[8:]), False, False)
    if size == 16 and text[15] == "Z":
        return LocalTime(_midnight(text[:8]) + _time_of_day(text[8:15]), False, True)
    if size == 8:
        return LocalTime(_midnight(text), True, False)
    written = _LENIENT.fullmatch(text)
    if written is None:
        message = f"{text[:40]!r} is not a date or a date with time"
        raise BadValue(message)
    year, month, day, time, hour, minute, second, utc, sign, away_hours, away_minutes = written.groups()
    midnight = _midnight(year + month + day)
    if not time:
        return LocalTime(midnight, True, False)
    wall = midnight + _time_of_day(f"T{hour}{minute}{second or '00'}")
    if sign:
        away = int(away_hours) * 3600 + int(away_minutes or 0) * 60
        return LocalTime(wall - away if sign == "+" else wall + away, False, True)
    return LocalTime(wall, False, bool(utc))


def date_of_utc(wall: int) -> int:
    """The day that a time in UTC means where a DATE is due: somebody's local midnight, or the date as written.

    Local midnights are at full, half and quarter hours; east of Greenwich they are on the evening before in UTC, from
    UTC+14 on, which is 10:00.
    """
    day, time = divmod(wall, DAY)
    return day + (time >= _EASTERNMOST_MIDNIGHT and time % _QUARTER == 0)


@lru_cache(maxsize=2048)
def _midnight(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        message = f"{text[:40]!r} is not a date"
        raise BadValue(message)
    return day_number(int(text[:4]), int(text[4:6]), day=int(text[6:8])) * DAY


@lru_cache(maxsize=1024)
def _time_of_day(text: str) -> int:
    digits = text[1:]
    if text[0] not in "Tt" or not (digits.isascii() and digits.isdigit()):
        message = f"{text[:40]!r} is not a time of day"
        raise BadValue(message)
    hour, minute, second = int(digits[:2]), int(digits[2:4]), int(digits[4:6])
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        message = f"{text[:40]!r} is not a time of day"
        raise BadValue(message)
    return hour * 3600 + minute * 60 + min(second, 59)


@lru_cache(maxsize=1024)
def read_duration(text: str) -> Length:
    """A DURATION, also in malformed variants (`P1DT`, `PT1W` and lower case occur). Raises BadValue."""
    written = _DURATION.fullmatch(text.upper())
    if written is None or not _DIGIT.search(text):
        message = f"{text[:40]!r} is not a duration"
        raise BadValue(message)
    sign = -1 if written["sign"] == "-" else 1
    weeks, days, hours, minutes, seconds = (
        min(int(written[part] or 0), MAX_LENGTH) for part in ("weeks", "days", "hours", "minutes", "seconds")
    )
    exact = min(hours * 3600 + minutes * 60 + seconds, MAX_LENGTH)
    return Length(sign * min(weeks * 7 + days, MAX_LENGTH // DAY), sign * exact)


def day_number(year: int, month: int, *, day: int) -> int:
    """Days since 1970-01-01. Raises BadValue for a date that does not exist; year 0 is clamped to year 1."""
    if year == 0:
        return FIRST_DAY
    try:
        return date(year, month, day).toordinal() - EPOCH
    except ValueError:
        message = f"{year:04}-{month:02}-{day:02} is not a date"
        raise BadValue(message) from None


_EASTERNMOST_MIDNIGHT: Final = 10 * 3600
_QUARTER: Final = 900
_LENIENT: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)(?:([Tt ])(\d\d):?(\d\d)(?::?(\d\d)(?:[.,]\d+)?)?(?:([Zz])|([+-])(\d\d):?(\d\d)?)?)?",
    re.ASCII,
)
_DURATION: Final = re.compile(
    r"(?P<sign>[+-]?)P(?:(?P<weeks>\d{1,15})W)?(?:(?P<days>\d{1,15})D)?"
    r"(?:T?(?:(?P<hours>\d{1,15})H)?(?:(?P<minutes>\d{1,15})M)?(?:(?P<seconds>\d{1,15})S)?)?",
    re.ASCII,
)
_DIGIT: Final = re.compile(r"\d", re.ASCII)
