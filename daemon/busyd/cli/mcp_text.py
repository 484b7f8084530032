"""Text for an assistant: what others wrote as bounded data, times on a person's clock, refusals in our own words."""

import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from busyd.cli.daemon_client import NoAnswerInTime, NotAnswering
from busyd.cli.daemon_errors import AnswerLost, RequestRefused
from busyd.cli.exit_status import CommandFailed
from busyd.cli.local_time import write_local
from busyd.ical.zones import Zone, reading_zone
from busyd.timetext import parse_instant

MOST_TEXT: Final = 200
"""Characters of a text that somebody else wrote."""
_VISIBLE: Final = ("L", "M", "N", "P", "S")
_OUR_OWN: Final = frozenset({"bad-request", "unknown-parameter", "bad-window", "invalid", "idempotency-mismatch"})
"""Refusals of which the detail says only what the request itself said."""
_NOT_KNOWN: Final = "It is not known whether the time is free: do not say that it is."
_REFUSALS: Final = {
    "missing-scope": "the token does not allow this",
    "no-connection": "no calendar account is connected",
    "unconfigured": "the profile has no calendars",
    "stale": f"the calendars have not been confirmed recently enough. {_NOT_KNOWN}",
    "incomplete": f"an event could not be understood. {_NOT_KNOWN}",
    "not-ready": f"the calendars are being read for the first time. {_NOT_KNOWN}",
    "not-proven": f"the calendars could not be confirmed just now, so nothing was written. {_NOT_KNOWN}",
    "unavailable": f"busyd cannot answer at the moment. {_NOT_KNOWN}",
    "slot-taken": "the time is not free; nothing was written",
    "outside-hours": "the time is outside the working hours; nothing was written",
    "too-soon": "the time is too soon; nothing was written",
    "too-far": "the time is too far ahead; nothing was written",
    "off-grid": "no slot starts at this time; nothing was written",
    "limit-reached": "the day or week is full; nothing was written",
    "too-many-holds": "there are too many holds; wait, or use those there are",
    "no-primary": "the profile has no calendar to write to",
    "read-only": "the calendar cannot be written to",
    "out-of-space": "there is no space left in the calendar account, or on the disk of busyd",
    "hold-expired": "the hold is no longer in force; hold or book anew",
    "unknown-booking": "there is no such appointment or hold that this token may see",
    "ended": "the appointment is over",
    "not-settled": "the last request for this appointment is still under way",
    "not-current": "the appointment has changed meanwhile",
    "change-refused": "somebody else has the new time; the appointment stays where it was",
    "attention": "a person has changed the event, and must decide",
    "too-many-tries": "too many requests with wrong tokens; wait a minute",
}


def written_by_others(text: object) -> str:
    """A text from a calendar as data: on one line, at most MOST_TEXT characters, nothing invisible in it.

    What does not show (controls, direction marks, tags, private characters) is written as its number.
    """
    shown = "".join(_shown(character) for character in str(text)[:MOST_TEXT])
    return f"{shown[:MOST_TEXT]}…" if len(str(text)) > MOST_TEXT or len(shown) > MOST_TEXT else shown


def _shown(character: str) -> str:
    if character == " " or unicodedata.category(character)[0] in _VISIBLE:
        return character
    return " " if character.isspace() else f"<U+{ord(character):04X}>"


class LocalClock:
    """A person's clock at the moment at which the daemon answered."""

    def __init__(self, now: str, zone: str) -> None:
        self.zone: Zone = reading_zone(zone)
        self._now = now

    def local(self, time: str) -> str:
        """`2026-12-01T10:00:00+01:00` for a time from the daemon."""
        return write_local(parse_instant(time, zone=lambda: self.zone), self.zone)

    def local_span(self, span: Mapping[str, Any]) -> dict[str, str]:
        """Start and end of a span from the daemon."""
        return {"start": self.local(span["start"]), "end": self.local(span["end"])}

    def told(self) -> dict[str, str]:
        """What every answer carries."""
        now = self.local(self._now)
        return {"now": now, "utc_offset": now[19:], "zone": self.zone.name}


def describe_failure(error: CommandFailed, *, writes: bool) -> str:
    """What an assistant is told of a request that failed. Never what a calendar says."""
    if isinstance(error, AnswerLost | NoAnswerInTime):
        again = "Whether it was done is not known: call again with the same idempotency_key." if writes else _NOT_KNOWN
        return f"busyd did not answer in time. {again}"
    if isinstance(error, NotAnswering):
        return f"busyd is not running, or cannot be reached. {_NOT_KNOWN}"
    if not isinstance(error, RequestRefused):
        return f"busyd cannot be asked. {_NOT_KNOWN}"
    if error.http_status == 401:
        return f"busyd refuses the token: it was revoked, has expired, or is none. {_NOT_KNOWN}"
    if error.name == "unknown-profile":
        return "there is no such profile for this token: list_profiles names those there are"
    if error.name in _OUR_OWN:
        return f"{written_by_others(error)}. {written_by_others(error.fix)}"
    return _REFUSALS.get(error.name, f"busyd refused: {written_by_others(error.name)}. {_NOT_KNOWN}")
