"""What stands behind the question mark: parameters, points in time, durations and windows, each as a value or a 400."""

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Final
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from busyd.http.problem import HttpProblem, bad_request
from busyd.period import EARLIEST, LATEST, Instant, Period

DAY: Final = 86_400
MAX_WINDOW: Final = 1000 * DAY
"""Seconds."""
DEFAULT_WINDOW: Final = 14 * DAY
"""Seconds from the start to the end of a window whose end was not given."""

HOW_TO_WRITE_TIMES: Final = (
    "write times as 2026-11-23T09:00:00Z or with an offset (+01:00), as a date (midnight in the profile's zone, or in"
    " that of tz=), or relative: now, +14d, -2h, now+30m"
)
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": DAY, "w": 7 * DAY}
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.\d+)?(?:[Zz]|([+ -]\d\d:\d\d))", re.ASCII
)  # RFC 3339 §5.6; a space in place of the offset's `+` is a `+` that was not escaped
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_RELATIVE = re.compile(r"(?:now)?([+ -])((?:\d{1,9}[smhdw])+)", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}[smhdw])+", re.ASCII)
_PART = re.compile(r"(\d+)([smhdw])", re.ASCII)


def parse_query(text: str, allowed: frozenset[str]) -> dict[str, str]:
    """The parameters of a query; each may stand once. Raises HttpProblem naming the ones that mean nothing here."""
    found: dict[str, str] = {}
    unknown: list[str] = []
    for part in text.split("&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition("=")
        name, value = _decode(raw_name), _decode(raw_value)
        if name in found:
            detail = f"the parameter {_quoted(name)} stands twice"
            raise bad_request(detail, fix="write it once")
        if name not in allowed:
            unknown.append(name)
        found[name] = value
    if unknown:
        raise _unknown_parameters(unknown, allowed)
    return found


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise bad_request("the query is not UTF-8", fix="escape it as UTF-8, then with %XX") from None


def _unknown_parameters(unknown: list[str], allowed: frozenset[str]) -> HttpProblem:
    from difflib import get_close_matches

    names = ", ".join(_quoted(name) for name in unknown[:5])
    near = [match for name in unknown[:5] for match in get_close_matches(name, sorted(allowed), n=1)]
    if near:
        fix = f"did you mean {', '.join(near)}?"
    elif allowed:
        fix = f"there is: {', '.join(sorted(allowed))}"
    else:
        fix = "this address takes no parameters"
    return bad_request(f"unknown parameter {names}", fix=fix, name="unknown-parameter")


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def parse_window(query: Mapping[str, str], *, now: Instant, zone: Callable[[], ZoneInfo]) -> tuple[Period, bool]:
    """The window from `start` (default: now) to `end` (default: 14 days later), at most 1000 days long.

    The second value is true when the window moves with the present moment. Dates are midnights in the zone of `tz`, or
    else in `zone`. Raises HttpProblem.
    """
    if "tz" in query:
        zone = partial(ZoneInfo, parse_zone(query["tz"]).key)
    written_start, written_end = query.get("start", "now"), query.get("end")
    start, relative = parse_instant("start", written_start, now=now, zone=zone)
    if written_end is None:
        end, end_relative = Instant(min(start + DEFAULT_WINDOW, LATEST)), False
    else:
        end, end_relative = parse_instant("end", written_end, now=now, zone=zone)
    if start >= end:
        raise bad_request("the window must end after it starts", fix=HOW_TO_WRITE_TIMES, name="bad-window")
    if end - start > MAX_WINDOW and not _is_of_days(written_start, written_end or "", MAX_WINDOW // DAY):
        raise bad_request("the window is longer than 1000 days", fix="ask for it in several pieces", name="bad-window")
    return Period(start, end), relative or end_relative


def _is_of_days(start: str, end: str, most: int) -> bool:
    """Whether two dates are at most so many days apart: those of a change of the clocks are 23 or 25 hours long."""
    if not (_DATE.fullmatch(start) and _DATE.fullmatch(end)):
        return False
    return (date.fromisoformat(end) - date.fromisoformat(start)).days <= most


def parse_instant(name: str, text: str, *, now: Instant, zone: Callable[[], ZoneInfo]) -> tuple[Instant, bool]:
    """A point in time, and whether it moves with the present. Raises HttpProblem."""
    if len(text) == 20 and text[10] == "T" and text[13] == ":" and text[19] == "Z":
        try:
            return Instant(int(datetime.fromisoformat(text).timestamp())), False
        except ValueError:
            pass  # a leap second, or no such time: told apart below
    moves = False
    try:
        if text == "now":
            seconds, moves = int(now), True
        elif found := _TIME.fullmatch(text):
            seconds = _absolute(found)
        elif _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            # Where midnight does not exist, the offset before the gap makes it the first moment after it.
            seconds = int(datetime(day.year, day.month, day.day, tzinfo=zone()).timestamp())
        elif found := _RELATIVE.fullmatch(text):
            away = _seconds(found[2])
            seconds, moves = now - away if found[1] == "-" else now + away, True
        else:
            raise _no_time(name, text)
    except (ValueError, OverflowError):
        raise _no_time(name, text) from None
    if not EARLIEST <= seconds <= LATEST:
        raise _no_time(name, text)
    return Instant(seconds), moves


def _absolute(found: re.Match[str]) -> int:
    leap = found[3] == "60"  # RFC 3339 §5.7 allows it; it is the moment before the next second
    offset = (found[4] or "+00:00").replace(" ", "+")
    if offset[1:3] > "23" or offset[4:6] > "59":
        raise ValueError("no such offset")
    moment = datetime.fromisoformat(f"{found[1]}T{found[2]}:{'59' if leap else found[3]}+00:00")
    away = int(offset[1:3]) * 3600 + int(offset[4:6]) * 60
    return int(moment.timestamp()) + leap - (away if offset[0] == "+" else -away)


def _no_time(name: str, text: str) -> HttpProblem:
    return bad_request(f"{name}={_quoted(text)} is no point in time", fix=HOW_TO_WRITE_TIMES, name="bad-window")


def parse_duration(name: str, text: str, *, least: int = 0) -> int:
    """Seconds of `90s`, `30m`, `1h30m`, `2d`, `1w`. Raises HttpProblem."""
    how = "write a number with its unit: 90s, 30m, 1h30m, 2d, 1w"
    if not _DURATION.fullmatch(text):
        detail = f"{name}={_quoted(text)} is no duration"
        raise bad_request(detail, fix=how)
    seconds = _seconds(text)
    if not least <= seconds <= MAX_WINDOW:
        shortest = f"at least {least // 60} minute" if least else "not negative"
        detail = f"{name}={_quoted(text)} must be {shortest} and at most 1000 days"
        raise bad_request(detail, fix=how)
    return seconds


def _seconds(text: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def parse_word(name: str, text: str, words: tuple[str, ...]) -> str:
    """One of a few words. Raises HttpProblem that lists them."""
    if text not in words:
        detail = f"{name}={_quoted(text)} means nothing here"
        raise bad_request(detail, fix=f"{name} may be {', '.join(words)}")
    return text


def parse_zone(text: str) -> ZoneInfo:
    """An IANA zone by name. Raises HttpProblem."""
    try:
        return ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        detail = f"tz={_quoted(text)} is no time zone known here"
        raise bad_request(detail, fix="write an IANA name, for instance Europe/Berlin") from None
