"""The options of all commands that ask about a window of time, and how times are shown to a person."""

import argparse
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from busyd.advice.unconfigured import describe_unconfigured, fix_unconfigured
from busyd.cli.asked_time import HOW_TO_WRITE, OR_RELATIVE, asked_span, checked_duration
from busyd.cli.exit_status import UsageError
from busyd.cli.local_time import show_instant, starts_day
from busyd.cli.terminal import print_note
from busyd.clock import SystemClock
from busyd.config import Config
from busyd.ical.zones import Zone, iana_zone, reading_zone
from busyd.period import Instant, to_rfc3339
from busyd.service.state_dir import machine_zone
from busyd.timetext import BadText, parse_instant, parse_moment

_DEFAULT_WINDOW: Final = 14 * 86_400
"""Seconds of a window whose end was left out; the daemon's own rule."""


def add_window_options(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """PROFILE, or several as `profiles`, and --start, --end, --tz and --json."""
    if several:
        parser.add_argument("profiles", metavar="PROFILE", nargs="+")
    else:
        parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--start", metavar="TIME", default="now", help=f"{HOW_TO_WRITE}{OR_RELATIVE} (default: now)")
    parser.add_argument(
        "--end",
        metavar="TIME",
        help="end of the window, not included; a weekday is the first after the start (default: 14 days after it)",
    )
    parser.add_argument("--tz", metavar="ZONE", help="time zone of dates and of the table (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")


def add_freshness_options(parser: argparse.ArgumentParser) -> None:
    """--max-age and --on-stale."""
    parser.add_argument(
        "--max-age", metavar="TIME", help="oldest acceptable data, such as 20s; busyd polls first if needed"
    )
    parser.add_argument("--on-stale", choices=("serve", "busy", "error"), help="what to do if the data is older")


def window_query(arguments: argparse.Namespace, zone: Zone) -> dict[str, str | None]:
    """The parameters of the HTTP request; days that were named by a word are those of the zone. Raises UsageError."""
    return {**times_asked(arguments, zone), "tz": arguments.tz}


def times_asked(arguments: argparse.Namespace, zone: Zone, *, is_written: bool = False) -> dict[str, str | None]:
    """--start and --end, as the daemon takes them; None for those left out. Raises UsageError.

    `is_written`: it is time that something is put in, so it must be clear which.
    """
    given = {"start": arguments.start, "end": arguments.end}
    program = f"busyd {arguments.command}"
    return asked_span(given, zone, now=SystemClock().now(), program=program, is_written=is_written)


def durations_asked(arguments: argparse.Namespace, names: Iterable[str]) -> dict[str, str | None]:
    """Options that are lengths of time, as they were written; None for those left out. Raises UsageError."""
    program, asked = f"busyd {arguments.command}", dict[str, str | None]()
    for name in names:
        text, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        asked[name] = None if text is None else checked_duration(text, option=option, program=program)
    return asked


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


def common_zone(names: Iterable[str | None]) -> Zone:
    """The zone for times that are of no single profile: that of all profiles, or where they differ the machine's.

    `names` are those of the profiles. So a person with one profile sees the same times everywhere.
    """
    found = set(names)
    zone = iana_zone(found.pop() or "") if len(found) == 1 else None
    return zone or own_zone()


def zone_of_all(config: Config | None) -> Zone:
    """The same for the profiles of a configuration; the machine's where that is not known."""
    return common_zone(profile.timezone for profile in config.profiles.values()) if config else own_zone()


def show_time(text: Any, zone: Zone) -> str:
    """`Mon 2026-11-23 09:00` for a time from the daemon, with its offset where clocks show it twice.

    Anything else is shown as it is.
    """
    try:
        return show_instant(parse_instant(str(text), zone=lambda: zone), zone)
    except BadText:
        return "never" if text is None else str(text)


def describe_window(query: Mapping[str, str | None], zone: Zone) -> str:
    """`Mon 2026-11-23 09:00 to Mon 2026-12-07 09:00`: the window that was asked about."""
    now = SystemClock().now()
    start = parse_moment(query.get("start") or "now", now=now, zone=lambda: zone).instant
    end = query.get("end")
    until = parse_moment(end, now=now, zone=lambda: zone).instant if end else Instant(start + _DEFAULT_WINDOW)
    return f"{show_time(to_rfc3339(start), zone)} to {show_time(to_rfc3339(until), zone)}"


def show_span(span: Mapping[str, Any], zone: Zone) -> str:
    """`Mon 2026-11-23 09:00-10:00`, `Wed 2026-11-25, all day`, or from when to when where that is not one day."""
    start, end = span.get("start"), span.get("end")
    first, last = show_time(start, zone), show_time(end, zone)
    (day, begins), (other, ends) = (text.rsplit(" ", 1) if " " in text else (text, "") for text in (first, last))
    if day == other:
        return f"{day} {begins}{' to ' if {'+', '-'} & {*begins, *ends} else '-'}{ends}"
    if begins and ends and all(starts_day(parse_instant(str(at), zone=lambda: zone), zone) for at in (start, end)):
        until = show_time(to_rfc3339(Instant(parse_instant(str(end), zone=lambda: zone) - 1)), zone).rsplit(" ", 1)[0]
        return f"{day}, all day" if until == day else f"{day} to {until}, all day"
    return f"{first} to {last}"


def print_freshness(answer: dict[str, Any], zone: Zone) -> None:
    """How far an answer can be trusted: how old it is, and what is not known."""
    if "as_of" in answer:
        as_of = answer["as_of"]
        print_note("never confirmed" if as_of is None else f"as of {show_time(as_of, zone)}")
    print_note(f"times in {zone.name}")
    people = answer.get("profiles")
    if people is not None:
        _print_people(people)
    else:
        if answer.get("stale"):
            print_note("stale: older than the profile's max_age")
        if answer.get("complete") is False:
            print_note(f"incomplete: {_what_is_missing(answer)}")
    for calendar in answer.get("calendars") or []:
        if calendar.get("state") not in (None, "fresh"):
            detail = f": {calendar['detail']}" if calendar.get("detail") else ""
            print_note(f"{calendar.get('calendar')} is {calendar.get('state')}{detail}")


def _print_people(people: list[dict[str, Any]]) -> None:
    """About which of several profiles an answer knows too little."""
    stale = [str(person.get("profile")) for person in people if person.get("stale")]
    incomplete = [str(person.get("profile")) for person in people if person.get("complete") is False]
    if stale:
        print_note(f"stale: {', '.join(stale)}")
    if incomplete:
        print_note(f"incomplete: {', '.join(incomplete)}; run `busyd status` to see why")


def _what_is_missing(answer: dict[str, Any]) -> str:
    """Why an answer is incomplete, as far as the answer tells, and what that means for its busy time."""
    calendars = answer.get("calendars") or []
    if answer.get("calendars") == []:
        profile = str(answer.get("profile"))
        return f"{describe_unconfigured(profile)}; {fix_unconfigured(profile)}"
    unread = [str(calendar.get("calendar")) for calendar in calendars if not calendar.get("as_of", True)]
    if unread:
        has = "has" if len(unread) == 1 else "have"
        return f"{', '.join(unread)} {has} never been read, so all of its time counts as busy"
    busy = answer.get("busy")
    if busy is not None and not any(period.get("type") == "BUSY-UNAVAILABLE" for period in busy):
        return "the start of an event could not be read, so it blocks nothing; run `busyd status` to see which"
    return (
        "an event could not be understood: the time it may take counts as busy, but one whose start cannot be read "
        "blocks nothing; run `busyd status` to see which"
    )
