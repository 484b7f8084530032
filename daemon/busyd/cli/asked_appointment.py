"""What `busyd book`, `move`, `cancel` and `appointments` have in common: how they ask, and what they print."""

import argparse
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

from busyd.advice.bookings import describe_unsettled
from busyd.cli.asked_time import HOW_TO_WRITE, asked_span, checked_duration
from busyd.cli.daemon_client import NoAnswerInTime, Reply, profile_path
from busyd.cli.daemon_errors import AnswerLost, RequestRefused
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import show_span, show_time
from busyd.clock import SystemClock
from busyd.ical.zones import Zone
from busyd.period import to_rfc3339
from busyd.timetext import parse_moment

OVERRIDES: Final = ("hours", "notice", "window", "grid", "limits", "busy")
UNDER_WAY: Final = ("pending", "moving", "cancelling")
_NOT_BOOKED: Final = {
    "not-proven": "not booked, as the calendars could not be confirmed",
    "refused-by-server": "not booked, as its server did not take it",
}
"""Why something was given up that nobody was told to be booked."""
_ACCEPTED: Final = 202
_FIRST_FAULT: Final = 500
"""From this status on, what came of a request is not known for certain."""


def add_time_options(parser: argparse.ArgumentParser) -> None:
    """--start, --duration, --end, --override, --key, --tz and --json."""
    parser.add_argument("--start", metavar="TIME", required=True, help=f"when it starts: {HOW_TO_WRITE}")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--duration", metavar="TIME", help="its length, such as 30m")
    length.add_argument("--end", metavar="TIME", help="its end, instead of --duration")
    parser.add_argument(
        "--override", metavar="RULE", action="append", choices=OVERRIDES, default=[],
        help=f"lift a rule of the profile: {', '.join(OVERRIDES)}; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--key", metavar="KEY", help="Idempotency-Key: the same key never does it twice (default: a random one)"
    )
    parser.add_argument(
        "--tz", metavar="ZONE", help="time zone of times and of what is printed (default: the profile's)"
    )
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")


def time_fields(arguments: argparse.Namespace, zone: Zone) -> dict[str, Any]:
    """--start, --duration, --end and --override as fields of a body. Raises UsageError.

    Times are absolute, so that a request that is made again with its key is the same request.
    """
    now, program = SystemClock().now(), f"busyd {arguments.command}"
    given = {"start": arguments.start, "end": arguments.end}
    fields: dict[str, Any] = {
        name: to_rfc3339(parse_moment(text, now=now, zone=lambda: zone).instant)
        for name, text in asked_span(given, zone, now=now, program=program, is_written=True).items()
        if text is not None
    }
    if arguments.duration is not None:
        fields["duration"] = checked_duration(arguments.duration, option="--duration", program=program)
    if arguments.override:
        fields["override"] = arguments.override
    return fields


def checked_key(arguments: argparse.Namespace) -> str:
    """--key, or a random one. Raises UsageError."""
    key = arguments.key
    if key is None:
        return secrets.token_urlsafe(12)
    if not 1 <= len(key) <= 255 or not all("!" <= character <= "~" for character in key) or key.startswith('"'):
        message = "--key: must be 1 to 255 visible ASCII characters, and not begin with a quotation mark"
        raise UsageError(message, program=f"busyd {arguments.command}")
    return str(key)


def appointment_path(profile: str, appointment: str) -> str:
    """The path of an appointment."""
    return f"{profile_path(profile, 'appointments')}/{quote(appointment, safe='')}"


def again_or_see(profile: str, again: str) -> str:
    """What to do about an appointment that is not settled."""
    return f"`busyd appointments {shlex.quote(profile)}` shows it, or {again}"


@contextmanager
def told_to_a_person(zone: Zone, *, again: str = "") -> Iterator[None]:
    """Tell alternatives in a zone; and where nobody knows what came of a request, how to ask for the same `again`."""
    try:
        yield
    except (AnswerLost, NoAnswerInTime) as lost:
        message = f"{lost}: whether it was done is not known"
        raise CommandFailed(message, fix=again or lost.fix, status=ExitStatus.TRY_AGAIN) from None
    except RequestRefused as refused:
        fix = refused.fix
        if refused.alternatives:
            open_slots = ", ".join(show_span(slot, zone) for slot in refused.alternatives)
            fix = f"{fix}; open instead: {open_slots} ({zone.name})"
        if again and refused.http_status >= _FIRST_FAULT:
            fix = f"{fix}; {again}"
        raise CommandFailed(str(refused), fix=fix, status=refused.status) from None
    except KeyboardInterrupt:
        if again:
            print_note(f"interrupted: whether it was done is not known; {again}")
        raise


def tell_outcome(reply: Reply, zone: Zone, *, as_json: bool, again: str) -> int:
    """Print an appointment as it is now; 75 while it is not settled."""
    appointment = reply.body
    if as_json:
        print_json(appointment)
    else:
        print_appointments([appointment], zone)
    if reply.status == _ACCEPTED:
        print_note(f"not settled yet, and the time is kept; {again}")
        return ExitStatus.TRY_AGAIN
    return ExitStatus.OK


def print_appointments(appointments: Sequence[Mapping[str, Any]], zone: Zone) -> None:
    """A table, and what to do about those that need a person."""
    rows = [(str(one["id"]), show_span(one, zone), _state_of(one), str(one["summary"])) for one in appointments]
    print_table(("ID", "WHEN", "STATE", "SUMMARY"), rows)
    print_note(f"times in {zone.name}")
    for one in appointments:
        if one["state"] == "attention":
            matter, fix = describe_unsettled("attention", str(one.get("reason")))
            print_note(f"{one['id']}, {show_time(one['start'], zone)}: {matter}; {fix}")


def _state_of(appointment: Mapping[str, Any]) -> str:
    """``booked``, ``attention: conflict``, ``booked, moved elsewhere``."""
    state, elsewhere = str(appointment["state"]), appointment.get("changed_elsewhere")
    why = str(appointment.get("reason") or "")
    shown = why if state == "attention" else _NOT_BOOKED.get(why.partition(" ")[0], "") if state == "cancelled" else ""
    reason = f": {shown}" if shown else ""
    return f"{state}{reason}{f', {elsewhere} elsewhere' if elsewhere else ''}"
