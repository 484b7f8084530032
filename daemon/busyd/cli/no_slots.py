"""Why a window has no open slots, as far as the configuration tells. Not what is busy: `busyd explain` tells that."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from busyd.availability.hours import Hours
from busyd.availability.slots import working_spans
from busyd.cli.local_time import show_instant
from busyd.config import ProfileConfig
from busyd.ical.zones import Zone, iana_zone
from busyd.period import Instant, Period, coalesce
from busyd.timetext import parse_duration, parse_instant, write_duration


def why_no_slots(
    profile: ProfileConfig, answer: Mapping[str, Any], *, asked: Mapping[str, str | None], now: Instant
) -> str:
    """`anna has no working hours in this window`; empty where the configuration does not tell.

    `asked` are the parameters that were given, which count instead of those of the profile.
    """
    if profile.hours is not None and not asked.get("hours") and not _is_ever_open(profile.hours):
        return f"`hours:` of {profile.name} are empty"
    zone = iana_zone(profile.timezone) if profile.timezone else None
    if zone is None or not answer.get("start") or not answer.get("end"):
        return ""  # the zone is that of a calendar, which only the daemon knows
    start, end = (parse_instant(str(answer[name]), zone=lambda: zone) for name in ("start", "end"))
    notice = _length(asked.get("notice"), profile.slots.notice)
    earliest = Instant(now + int(notice.total_seconds()))
    if end <= now:
        return "the window is past"
    if end <= earliest:
        return f"the window ends before the notice of {write_duration(notice)} is over"
    ahead = profile.slots.window
    if ahead is not None and start > now + ahead.total_seconds():
        return (
            f"the window starts more than {write_duration(ahead)} ahead, where `slots: window:` of {profile.name} ends"
        )
    hours = None if asked.get("hours") else profile.hours
    window = Period(Instant(max(start, earliest)), end)
    return _why_too_short(window, zone, name=profile.name, hours=hours, asked=asked, own=profile.slots.duration)


def _why_too_short(
    window: Period, zone: Zone, *, name: str, hours: Hours | None, asked: Mapping[str, str | None], own: timedelta
) -> str:
    spans = coalesce(
        (max(start, window.start), min(end, window.end)) for start, end in working_spans(window, zone, hours=hours)
    )
    if not spans:
        first, last = show_instant(window.start, zone), show_instant(window.end, zone)
        return f"{name} has no working hours from {first} to {last}"
    duration, longest = _length(asked.get("duration"), own), max(end - start for start, end in spans)
    if longest >= duration.total_seconds():
        return ""
    what = "the window has only" if hours is None else f"the longest stretch of working hours of {name} in it is"
    return f"an appointment takes {write_duration(duration)}, and {what} {write_duration(timedelta(seconds=longest))}"


def _is_ever_open(hours: Hours) -> bool:
    return any((*hours.weekdays, *hours.exceptions.values()))


def _length(text: str | None, own: timedelta) -> timedelta:
    return own if text is None else parse_duration(text)
