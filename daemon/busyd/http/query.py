"""The query of a request: parameters, times, durations and windows, each as a value or a 400."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final
from urllib.parse import unquote_to_bytes

from busyd.http.problem import HttpProblem, bad_request
from busyd.ical.zones import Zone, iana_zone
from busyd.period import LATEST, Instant, Period, to_rfc3339
from busyd.timetext import HOW_TO_WRITE_DURATIONS, BadText, PointInTime, days_between, parse_duration, parse_moment

DAY: Final = 86_400
MAX_WINDOW: Final = 1000 * DAY
"""Seconds."""
DEFAULT_WINDOW: Final = 14 * DAY
"""Seconds from the start to the end of a window whose end was not given."""

HOW_TO_WRITE_TIMES: Final = (
    "write times as 2026-11-23T09:00:00Z or with an offset (+01:00), as a date (midnight in the profile's zone, or in"
    " that of tz=), or relative: now, +14d, -2h, now+30m"
)


def parse_query(text: str, allowed: frozenset[str]) -> dict[str, str]:
    """The parameters of a query, each at most once. Raises HttpProblem, which names the ones that are not known."""
    parameters: dict[str, str] = {}
    unknown: list[str] = []
    for part in text.split("&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition("=")
        name, value = _decode(raw_name), _decode(raw_value)
        if name in parameters:
            detail = f"the parameter {quoted(name)} is given twice"
            raise bad_request(detail, fix="give it once")
        if name not in allowed:
            unknown.append(name)
        parameters[name] = value
    if unknown:
        raise _unknown_parameters(unknown, allowed)
    return parameters


def _decode(text: str) -> str:
    if "+" in text:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError:
        raise bad_request("the query is not UTF-8", fix="encode it as UTF-8, then percent-encode it") from None


def _unknown_parameters(unknown: list[str], allowed: frozenset[str]) -> HttpProblem:
    from difflib import get_close_matches

    names = ", ".join(quoted(name) for name in unknown[:5])
    near = [match for name in unknown[:5] for match in get_close_matches(name, sorted(allowed), n=1)]
    if near:
        fix = f"did you mean {', '.join(near)}?"
    elif allowed:
        fix = f"known parameters: {', '.join(sorted(allowed))}"
    else:
        fix = "this address takes no parameters"
    return bad_request(f"unknown parameter {names}", fix=fix, name="unknown-parameter")


def quoted(text: str) -> str:
    """A text of a request as an error shows it."""
    return repr(text if len(text) <= 40 else f"{text[:40]}…")


def parse_window(query: Mapping[str, str], *, now: Instant, zone: Callable[[], Zone]) -> tuple[Period, bool]:
    """The window from `start` (default: now) to `end` (default: 14 days later), at most 1000 days long.

    The second value is true when the window moves with the present moment. Dates are midnights in the zone of `tz`, or
    else in `zone`. Raises HttpProblem.
    """
    if "tz" in query:
        named = parse_zone(query["tz"])

        def zone() -> Zone:
            return named

    written_start, written_end = query.get("start", "now"), query.get("end")
    start = parse_time("start", written_start, now=now, zone=zone)
    if written_end is None:
        end = PointInTime(Instant(min(start.instant + DEFAULT_WINDOW, LATEST)))
    else:
        end = parse_time("end", written_end, now=now, zone=zone)
    if start.instant >= end.instant:
        meant = f"from {to_rfc3339(start.instant)} to {to_rfc3339(end.instant)}"
        message = f"the window is empty or reversed, {meant}: `start` must be before `end`"
        raise bad_request(message, fix=HOW_TO_WRITE_TIMES, name="bad-window")
    if end.instant - start.instant > MAX_WINDOW and not _is_of_days(written_start, written_end or ""):
        raise bad_request("the window is longer than 1000 days", fix="ask for it in several parts", name="bad-window")
    return Period(start.instant, end.instant), start.is_relative or end.is_relative


def _is_of_days(start: str, end: str) -> bool:
    """Whether two dates are at most 1000 days apart. Days on which the clock changes have 23 or 25 hours."""
    days = days_between(start, end)
    return days is not None and days <= MAX_WINDOW // DAY


def parse_time(name: str, text: str, *, now: Instant, zone: Callable[[], Zone]) -> PointInTime:
    """A point in time. Raises HttpProblem."""
    try:
        return parse_moment(text, now=now, zone=zone)
    except BadText as error:
        detail = f"{name}={quoted(text)} {error.reason}"
        raise bad_request(detail, fix=HOW_TO_WRITE_TIMES, name="bad-window") from None


def parse_seconds(name: str, text: str, *, least: int = 0) -> int:
    """Seconds of a duration as `90s`, `30m`, `1h30m`, `2d`, `1w`. Raises HttpProblem."""
    try:
        seconds = int(parse_duration(text, longest=timedelta(seconds=MAX_WINDOW)).total_seconds())
    except BadText as error:
        detail = f"{name}={quoted(text)} {error.reason}"
        raise bad_request(detail, fix=error.fix or HOW_TO_WRITE_DURATIONS) from None
    if seconds < least:
        detail = f"{name}={quoted(text)} is shorter than {least} seconds"
        raise bad_request(detail, fix="ask for a longer one")
    return seconds


def parse_word(name: str, text: str, *, words: tuple[str, ...]) -> str:
    """One of a few words. Raises HttpProblem, which lists them."""
    if text not in words:
        detail = f"{name}={quoted(text)} is not a known value"
        raise bad_request(detail, fix=f"{name} may be: {', '.join(words)}")
    return text


def parse_zone(text: str) -> Zone:
    """A zone by its IANA name. Raises HttpProblem."""
    zone = iana_zone(text)
    if zone is None:
        detail = f"tz={quoted(text)} is not an IANA time zone"
        raise bad_request(detail, fix="write a name such as Europe/Berlin")
    return zone
