"""The options that the questions about a span of time share, and how its times are shown to a person."""

import argparse
import os
from typing import Any

from busyd.cli.exit_status import UsageError
from busyd.cli.terminal import print_note
from busyd.config import Config
from busyd.ical.zones import Zone, iana_zone, reading_zone
from busyd.period import to_rfc3339
from busyd.service.state_dir import machine_zone
from busyd.timetext import BadText, parse_instant


def add_window_options(parser: argparse.ArgumentParser) -> None:
    """PROFILE, --start, --end, --tz and --json."""
    parser.add_argument("profile", metavar="PROFILE")
    times = "RFC 3339, a date, now, or relative to now, such as +14d"
    parser.add_argument("--start", metavar="TIME", default="now", help=f"{times} (default now)")
    parser.add_argument("--end", metavar="TIME", help="likewise, not included (default 14 days after the start)")
    parser.add_argument("--tz", metavar="ZONE", help="zone of dates and of the table (default the profile's)")
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")


def add_freshness_options(parser: argparse.ArgumentParser) -> None:
    """--max-age and --on-stale."""
    parser.add_argument("--max-age", metavar="TIME", help="ask for a fresher proof, such as 20s: busyd looks first")
    parser.add_argument("--on-stale", choices=("serve", "busy", "error"), help="what to do with older data")


def window_query(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The parameters of the HTTP question."""
    return {"start": arguments.start, "end": arguments.end, "tz": arguments.tz}


def shown_zone(arguments: argparse.Namespace, config: Config | None) -> Zone:
    """The zone of the table: --tz, the profile's, else the machine's own. Raises UsageError."""
    profile = config.profiles.get(arguments.profile) if config is not None else None
    name = arguments.tz or (profile.timezone if profile else None)
    if name is None:
        return own_zone()
    zone = iana_zone(name)
    if zone is None:
        message = f"--tz: {name!r} is not an IANA time zone, such as Europe/Berlin"
        raise UsageError(message, program=f"busyd {arguments.command}")
    return zone


def own_zone() -> Zone:
    """The zone of this machine."""
    return reading_zone(machine_zone(os.environ))


def show_time(text: Any, zone: Zone) -> str:
    """`Mon 2026-11-23 09:00` for a time as the daemon writes it; anything else is shown as it is."""
    try:
        wall = zone.wall(parse_instant(str(text), zone=lambda: zone))
    except BadText:
        return "never" if text is None else str(text)
    date, _, time = to_rfc3339(wall).rstrip("Z").partition("T")
    weekday = ("Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed")[wall // 86_400 % 7]
    return f"{weekday} {date} {time.removesuffix(':00')}"


def print_standing(answer: dict[str, Any], zone: Zone) -> None:
    """What limits an answer, in words: how old it is, and what is not known."""
    age = f"as of {show_time(answer['as_of'], zone)}, " if "as_of" in answer else ""
    print_note(f"{age}times in {zone.name}")
    if answer.get("stale"):
        print_note("stale: older than the profile's max_age")
    if answer.get("complete") is False:
        print_note(f"not complete: {_what_is_missing(answer)}")
    for calendar in answer.get("calendars") or []:
        if calendar.get("state") not in (None, "fresh"):
            detail = f": {calendar['detail']}" if calendar.get("detail") else ""
            print_note(f"{calendar.get('calendar')} is {calendar.get('state')}{detail}")


def _what_is_missing(answer: dict[str, Any]) -> str:
    """Why an answer is not complete, as far as it says so itself, and what that means for its busy time."""
    unread = [str(one.get("calendar")) for one in answer.get("calendars") or [] if not one.get("as_of", True)]
    if unread:
        return f"never read, so all of its time counts as busy: {', '.join(unread)}"
    busy = answer.get("busy")
    if busy is not None and not any(one.get("type") == "BUSY-UNAVAILABLE" for one in busy):
        return "the start of an event cannot be read, so it blocks nothing; `busyd status` names it"
    return (
        "an event was not understood: the time it may take counts as busy, but one whose start cannot be read blocks"
        " nothing; `busyd status` names it"
    )
