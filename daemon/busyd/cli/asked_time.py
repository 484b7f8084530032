"""Times as a person types them at a command line: what HTTP takes, and `today`, `tomorrow`, `mon`, `fri 14:30`."""

import re
from datetime import date, timedelta
from typing import Final

from busyd.cli.exit_status import UsageError
from busyd.ical.zones import Zone
from busyd.period import Instant, to_rfc3339
from busyd.spelling import did_you_mean
from busyd.timetext import BadText, parse_duration, parse_moment

HOW_TO_WRITE: Final = "RFC 3339, a date, `now`, or a day such as `today`, `tomorrow` and `mon`, also as in `mon 14:30`"
OR_RELATIVE: Final = ", or relative to now, such as +14d"
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WORDS: Final = ("now", *_DAYS, *_WEEKDAYS)
_WRITTEN: Final = re.compile(r"([a-z]+|\d{4}-\d\d-\d\d)(?:[ T]+([01]?\d|2[0-3]):([0-5]\d))?", re.ASCII | re.IGNORECASE)
_DAY: Final = 86_400
_EPOCH: Final = date(1970, 1, 1)


def asked_time(text: str, zone: Zone, *, now: Instant, option: str, program: str) -> str:
    """The same time in words that the daemon knows; days are those of the zone. Raises UsageError.

    A weekday is the next one with that name, today included.
    """
    written = _WRITTEN.fullmatch(text.strip())
    day = _day_of(written[1].lower(), zone, now=now) if written is not None else None
    if written is not None and day is not None and (written[2] or not written[1][0].isdigit()):
        if written[2] is None:
            return day.isoformat()
        wall = (day - _EPOCH).days * _DAY + int(written[2]) * 3600 + int(written[3]) * 60
        return to_rfc3339(Instant(zone.instant(wall)))
    try:
        parse_moment(text, now=now, zone=lambda: zone)
    except BadText as error:
        near = did_you_mean(text, _WORDS)
        message = f"{option}: {text[:40]!r} {error.reason}{near or f': write {HOW_TO_WRITE}{OR_RELATIVE}'}"
        raise UsageError(message, program=program) from None
    return text


def asked_instant(text: str, zone: Zone, *, now: Instant, option: str, program: str) -> Instant:
    """The moment that is meant. Raises UsageError."""
    written = asked_time(text, zone, now=now, option=option, program=program)
    return parse_moment(written, now=now, zone=lambda: zone).instant


def checked_duration(text: str, *, option: str, program: str) -> str:
    """The text, if it is a duration. Raises UsageError."""
    try:
        parse_duration(text)
    except BadText as error:
        message = f"{option}: {text[:40]!r} {error}"
        raise UsageError(message, program=program) from None
    return text


def _day_of(word: str, zone: Zone, *, now: Instant) -> date | None:
    if word[0].isdigit():
        try:
            return date.fromisoformat(word)
        except ValueError:
            return None
    today = _EPOCH + timedelta(days=zone.wall(now) // _DAY)
    if word in _DAYS:
        return today + timedelta(days=_DAYS[word])
    named = [number for number, name in enumerate(_WEEKDAYS) if name == word or name[:3] == word]
    return today + timedelta(days=(named[0] - today.weekday()) % 7) if named else None
