"""Times as people write them: durations, dates, points in time. Text in, value out; no configuration, no protocol.

An error never repeats the text, which may hold what was not meant for other eyes: whoever shows it quotes the text.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Final, Protocol

from msgspec import Struct

from busyd.period import EARLIEST, LATEST, Instant

HOW_TO_WRITE_DURATIONS: Final = "write it like 60s, 15m, 6h or 14d"
HOW_TO_WRITE_TIMES: Final = "write it like 2026-11-23T09:00:00Z, with an offset such as +01:00, or as a date"
LONGEST: Final = timedelta(days=3660)
"""Ten years: how long a duration may be where nothing else is said."""

_DAY: Final = 86_400
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}
_DURATION: Final = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_PART: Final = re.compile(r"(\d+)([smhdw])", re.ASCII)
_SPELLED_OUT: Final = re.compile(
    r"(\d{1,9})\s*(?:(s|sec|secs|seconds?)|(m|mins?|minutes?)|(h|hrs?|hours?)|(d|days?))?", re.ASCII
)
_TIME: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+ -]\d\d:\d\d))", re.ASCII
)  # RFC 3339 §5.6; a space in place of the offset's `+` is a `+` that was not escaped in a query
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_LOOSE_DATE: Final = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})", re.ASCII)
_RELATIVE: Final = re.compile(r"(?:now)?([+ -])((?:\d{1,9}[smhdw])+)", re.ASCII)

_SHIFTED: Final = re.compile(r"(.*\S)\s*\+\s*((?:\d{1,9}[smhdw])+)", re.ASCII)


class BadText(ValueError):
    """A text that is not what it should be. `str(error)` continues a sentence that begins with the text in quotes."""

    def __init__(self, reason: str, *, meant: str = "", fix: str = "") -> None:
        super().__init__(f"{reason}, did you mean {meant}?" if meant else f"{reason}: {fix}" if fix else reason)
        self.reason = reason
        """`is not a duration` for instance."""
        self.fix = f"did you mean {meant}?" if meant else fix
        """What to write; empty where the reason says it."""


class Clocks(Protocol):
    """A time zone: what its clocks show, and when."""

    def instant(self, wall: int) -> int:
        """The instant of a wall time, both in seconds from 1970-01-01T00:00."""


class PointInTime(Struct, frozen=True):
    """A point in time as it was written."""

    instant: Instant
    is_relative: bool = False
    """It was counted from now, so that later it means another instant."""


def parse_duration(text: str, *, longest: timedelta = LONGEST) -> timedelta:
    """`60s`, `15m`, `6h`, `14d`, `2w`, or several together as in `1h30m`. Raises BadText."""
    if not _DURATION.fullmatch(text):
        spelled_out = _SPELLED_OUT.fullmatch(text)
        if spelled_out is None:
            raise BadText("is not a duration", fix=HOW_TO_WRITE_DURATIONS)
        if spelled_out[1] == text:
            raise BadText("has no unit", meant=f"'{text}s' or '{text}m'")
        unit = "smhd"[(spelled_out.lastindex or 2) - 2]
        raise BadText("is not a duration", meant=f"'{spelled_out[1]}{unit}'")
    seconds = _seconds(text)
    if seconds > longest.total_seconds():
        reason = f"is longer than {longest.days} days"
        raise BadText(reason)
    return timedelta(seconds=seconds)


def write_duration(length: timedelta) -> str:
    """`1d12h`: as `parse_duration` reads it, in whole seconds."""
    seconds, parts = int(length.total_seconds()), []
    for unit, size in (("d", _DAY), ("h", 3600), ("m", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0m"


def is_date(text: str) -> bool:
    """Whether the text has the shape of a date, with or without zeros in front of month and day."""
    return _LOOSE_DATE.fullmatch(text) is not None


def parse_date(text: str) -> date:
    """`2026-12-24`. Raises BadText."""
    written = _LOOSE_DATE.fullmatch(text)
    if written is None:
        raise BadText("is not a date", fix="write it like 2026-12-24")
    try:
        return date(int(written[1]), int(written[2]), int(written[3]))
    except ValueError:
        raise BadText("is not a valid date") from None


def parse_instant(text: str, *, zone: Callable[[], Clocks]) -> Instant:
    """An RFC 3339 time, or a date: its midnight in the zone. Raises BadText.

    Where midnight does not exist, it is the first moment after the gap (RFC 5545 §3.3.5).
    """
    if len(text) == 20 and text[10] == "T" and text[13] == ":" and text[19] == "Z":
        try:
            return Instant(int(datetime.fromisoformat(text).timestamp()))
        except ValueError:
            pass  # a leap second, or no such time: told apart below
    try:
        if written := _TIME.fullmatch(text):
            return _within_the_calendar(_absolute(written))
        if _DATE.fullmatch(text):
            return _within_the_calendar(zone().instant((parse_date(text).toordinal() - _FIRST_DAY) * _DAY))
    except (ValueError, OverflowError):
        pass
    if is_no_day(text[:10]):
        raise BadText("names a day that does not exist")
    raise BadText("is not a point in time", fix=HOW_TO_WRITE_TIMES)


def is_no_day(text: str) -> bool:
    """Whether it is written as a date, and no calendar has that day: `2026-02-30`."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return True
    return False


def parse_moment(text: str, *, now: Instant, zone: Callable[[], Clocks]) -> PointInTime:
    """What `parse_instant` reads, or `now`, `+14d`, `-2h`, `now+30m`. Raises BadText."""
    if text == "now":
        return PointInTime(now, is_relative=True)
    if relative := _RELATIVE.fullmatch(text):
        distance = _seconds(relative[2])
        try:
            instant = _within_the_calendar(now - distance if relative[1] == "-" else now + distance)
        except ValueError:
            raise BadText("is not a point in time", fix=HOW_TO_WRITE_TIMES) from None
        return PointInTime(instant, is_relative=True)
    return PointInTime(parse_instant(text, zone=zone))


def split_shift(text: str) -> tuple[str, int, int]:
    """`mon+1d2h` as `mon`, one day, 7200 seconds. A text without such an end, or with nothing before it, as it is."""
    shifted = _SHIFTED.fullmatch(text)
    if shifted is None or shifted[1].lower() == "now":
        return text, 0, 0
    days, seconds = 0, 0
    for number, unit in _PART.findall(shifted[2]):
        size = int(number) * _UNITS[unit]
        days, seconds = (days + size // _DAY, seconds) if unit in "dw" else (days, seconds + size)
    return shifted[1], days, seconds


def days_between(start: str, end: str) -> int | None:
    """Days from one date to another; None unless both are written as dates."""
    if not (_DATE.fullmatch(start) and _DATE.fullmatch(end)):
        return None
    return (parse_date(end) - parse_date(start)).days


def _absolute(written: re.Match[str]) -> int:
    leap = written[3] == "60"  # RFC 3339 §5.7 allows it; it is the moment before the next second
    offset = (written[4] or "+00:00").replace(" ", "+")
    if offset[1:3] > "23" or offset[4:6] > "59":
        raise ValueError("no such offset")
    moment = datetime.fromisoformat(f"{written[1]}T{written[2]}:{'59' if leap else written[3]}+00:00")
    distance = int(offset[1:3]) * 3600 + int(offset[4:6]) * 60
    return int(moment.timestamp()) + leap - (distance if offset[0] == "+" else -distance)


def _within_the_calendar(seconds: int) -> Instant:
    if not EARLIEST <= seconds <= LATEST:
        raise ValueError("before year 1 or after year 9999")
    return Instant(seconds)


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))
