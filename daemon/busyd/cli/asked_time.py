"""Times as a person types them at a command line: what HTTP takes, and `today`, `mon`, `fri 14:30`, `mon+3d`."""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from busyd.cli.exit_status import UsageError
from busyd.cli.local_time import gap_around, moments_of, show_instant, write_local
from busyd.ical.zones import Zone
from busyd.period import EARLIEST, LATEST, Instant, to_rfc3339
from busyd.spelling import did_you_mean
from busyd.timetext import BadText, PointInTime, is_no_day, parse_duration, parse_instant, parse_moment, split_shift

HOW_TO_WRITE: Final = "RFC 3339, a date, `now`, or a day such as `today`, `tomorrow` and `mon`, also as in `mon 14:30`"
OR_RELATIVE: Final = ", or relative to now, such as +14d, or to a day, such as mon+3d"
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WORDS: Final = ("now", *_DAYS, *_WEEKDAYS)
_WRITTEN: Final = re.compile(r"([a-z]+|\d{4}-\d\d-\d\d)(?:[ T]+([01]?\d|2[0-3]):([0-5]\d))?", re.ASCII | re.IGNORECASE)
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1)


class IfUnclear(Enum):
    """What a time of day means on the day on which clocks show it twice, or skip it."""

    FIRST = auto()
    """The first of the two. One that is skipped is counted from before the gap (RFC 5545 §3.3.5)."""
    LAST = auto()
    """The second of the two: what ends there covers both."""
    REFUSE = auto()
    """Neither: a person says which."""


class _Typed(Struct, frozen=True):
    """A day, perhaps with a time of day, and what is added to it."""

    day: date
    clock: int | None
    """Seconds from midnight on the clock."""
    days: int
    seconds: int

    @property
    def wall(self) -> int:
        """The wall time, without the seconds that are added. Raises OverflowError."""
        return ((self.day + timedelta(days=self.days)) - _EPOCH).days * _DAY + (self.clock or 0)


def asked_time(
    text: str,
    zone: Zone,
    *,
    now: Instant,
    option: str,
    program: str,
    unclear: IfUnclear = IfUnclear.FIRST,
    after: Instant | None = None,
) -> str:
    """The same time in words that the daemon knows; days are those of the zone. Raises UsageError.

    A weekday is the next one with that name, today included; with `after`, the first that makes the time a later one.
    """
    stripped = text.strip()
    base, days, seconds = split_shift(stripped)
    try:
        typed = _read(base, zone, now=now, after=after, shift=(days, seconds))
        if typed is not None:
            wall = typed.wall
            if typed.clock is None:
                at = parse_instant(_date_at(wall), zone=lambda: zone)
            else:
                at = _moment_at(wall, zone, unclear=unclear)
            is_day = typed.clock is None and not seconds
            return _date_at(wall) if is_day else to_rfc3339(_within_the_calendar(at + seconds))
        if base != stripped:
            at = parse_instant(base, zone=lambda: zone)
            moved = zone.instant(zone.wall(at) + days * _DAY) if days else at
            return to_rfc3339(_within_the_calendar(moved + seconds))
        parse_moment(text, now=now, zone=lambda: zone)
        return text
    except _NotOneTime as error:
        message = f"{option}: {error}"
        raise UsageError(message, program=program) from None
    except (BadText, OverflowError) as error:
        message = f"{option}: {text[:40]!r} {_what_is_wrong(text, base, error=error)}"
        raise UsageError(message, program=program) from None


def asked_instant(
    text: str, zone: Zone, *, now: Instant, option: str, program: str, unclear: IfUnclear = IfUnclear.FIRST
) -> Instant:
    """The moment that is meant. Raises UsageError."""
    written = asked_time(text, zone, now=now, option=option, program=program, unclear=unclear)
    return parse_moment(written, now=now, zone=lambda: zone).instant


def asked_span(
    given: Mapping[str, str | None], zone: Zone, *, now: Instant, program: str, is_written: bool = False
) -> dict[str, str | None]:
    """--start and --end as the daemon takes them; None for what was left out. Raises UsageError, also for no time.

    A weekday as the end is the first after the start. Of a time that clocks show twice, a start is the first and an end
    the second; with `is_written`, for what is to be put there, a person must say which.
    """
    start, end = given["start"], given["end"]
    first, last = (IfUnclear.REFUSE,) * 2 if is_written else (IfUnclear.FIRST, IfUnclear.LAST)
    span: dict[str, str | None] = {"start": None, "end": None}
    since = PointInTime(now, is_relative=True)
    if start is not None:
        span["start"] = text = asked_time(start, zone, now=now, option="--start", program=program, unclear=first)
        since = parse_moment(text, now=now, zone=lambda: zone)
    if end is not None:
        text = asked_time(end, zone, now=now, option="--end", program=program, unclear=last, after=since.instant)
        span["end"], until = text, parse_moment(text, now=now, zone=lambda: zone).instant
        if start is not None and since.instant >= until:
            first_shown, last_shown = show_instant(since.instant, zone), show_instant(until, zone)
            shown = f"--start {start!r} is {first_shown}, and --end {end!r} is {last_shown}"
            hint = _how_it_counts(end.strip(), start="" if since.is_relative else start.strip())
            message = f"the window is empty or reversed: {shown}{hint}"
            raise UsageError(message, program=program)
    return span


def checked_duration(text: str, *, option: str, program: str) -> str:
    """The text, if it is a duration. Raises UsageError."""
    try:
        parse_duration(text)
    except BadText as error:
        message = f"{option}: {text[:40]!r} {error}"
        raise UsageError(message, program=program) from None
    return text


class _NotOneTime(ValueError):
    """A time of day that clocks show twice on that day, or skip."""


def _moment_at(wall: int, zone: Zone, *, unclear: IfUnclear) -> Instant:
    moments = moments_of(wall, zone)
    if unclear is IfUnclear.REFUSE and len(moments) != 1:
        raise _NotOneTime(_why_not_one(wall, moments, zone=zone))
    return moments[-1 if unclear is IfUnclear.LAST else 0] if moments else Instant(zone.instant(wall))


def _why_not_one(wall: int, moments: list[Instant], *, zone: Zone) -> str:
    where = f"on {_date_at(wall)} in {zone.name}"
    if moments:
        choices = " or ".join(write_local(moment, zone) for moment in moments)
        return f"{_clock_at(wall)} comes twice {where}: write {choices}"
    gap = gap_around(wall, zone)
    if gap is None:
        return f"{_clock_at(wall)} does not exist {where}: write another time"
    before, after = _clock_at(gap.instant + gap.before), _clock_at(gap.instant + gap.after)
    change = f"clocks go from {before} to {after}; write a time before {before}, or {after} or later"
    return f"{_clock_at(wall)} does not exist {where}: {change}"


def _how_it_counts(end: str, *, start: str) -> str:
    if not end.startswith(("+", "-")):
        return ""
    return f"; {end} counts from now{f', {start}{end} from the start' if start and end[0] == '+' else ''}"


def _what_is_wrong(text: str, base: str, *, error: Exception) -> str:
    if is_no_day(base[:10]):
        return "names a day that does not exist"
    reason = error.reason if isinstance(error, BadText) else "is not a point in time"
    return f"{reason}{did_you_mean(text, _WORDS) or f': write {HOW_TO_WRITE}{OR_RELATIVE}'}"


def _read(base: str, zone: Zone, *, now: Instant, after: Instant | None, shift: tuple[int, int]) -> _Typed | None:
    """A day that is named or written, which comes `after` a moment if it is a weekday. Raises OverflowError."""
    written = _WRITTEN.fullmatch(base)
    if written is None:
        return None
    clock = None if written[2] is None else int(written[2]) * 3600 + int(written[3]) * 60
    word = written[1].lower()
    if word[0].isdigit():
        return None if is_no_day(word) else _Typed(date.fromisoformat(word), clock, *shift)
    today = _day_at(now, zone)
    if word in _DAYS:
        return _Typed(today + timedelta(days=_DAYS[word]), clock, *shift)
    named = [number for number, name in enumerate(_WEEKDAYS) if name == word or name[:3] == word]
    if not named:
        return None
    first = today if after is None else _day_at(after, zone)
    typed = _Typed(first + timedelta(days=(named[0] - first.weekday()) % 7), clock, *shift)
    if after is not None and typed.wall + typed.seconds <= zone.wall(after):
        return _Typed(typed.day + timedelta(days=7), clock, *shift)
    return typed


def _day_at(instant: Instant, zone: Zone) -> date:
    return _EPOCH + timedelta(days=zone.wall(instant) // _DAY)


def _date_at(wall: int) -> str:
    return to_rfc3339(wall)[:10]


def _clock_at(wall: int) -> str:
    return to_rfc3339(wall)[11:16]


def _within_the_calendar(seconds: int) -> Instant:
    if not EARLIEST <= seconds <= LATEST:
        raise OverflowError("before year 1 or after year 9999")
    return Instant(seconds)
