"""`busyd book`: write an appointment to the primary calendar, exactly once. Asks the running daemon."""

import argparse
from email.utils import parseaddr
from typing import Any

from busyd.cli.asked_appointment import (
    add_time_options,
    again_or_see,
    checked_key,
    tell_outcome,
    time_fields,
    told_to_a_person,
)
from busyd.cli.asked_time import checked_duration
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import UsageError
from busyd.cli.window import shown_zone


def add_book_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "book",
        help="write an appointment to the primary calendar",
        description="Write an appointment to the primary calendar of a profile, where `busyd slots` offers the time. "
        "Exit status: 0 booked, 1 refused, 64 invalid, 69 no daemon answers, 75 not settled or not proven.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--summary", metavar="TEXT", required=True, help="what it is called")
    add_time_options(parser)
    parser.add_argument("--description", metavar="TEXT", help="the text of the event")
    parser.add_argument("--location", metavar="TEXT", help="where it is")
    parser.add_argument("--url", metavar="URL", help="its address on the web")
    parser.add_argument("--class", dest="class_", choices=("public", "private", "confidential"), help="who may see it")
    parser.add_argument("--tentative", action="store_true", help="mark it as tentative")
    parser.add_argument(
        "--reminder", metavar="TIME", action="append",
        help="remind so long before, such as 15m; may be repeated (default: the profile's)",
    )  # fmt: skip
    parser.add_argument(
        "--guest", metavar="ADDRESS", action="append", default=[],
        help="who is to come: ben@example.org or 'Ben <ben@example.org>'; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--invite",
        choices=("none", "server"),
        help="whether the calendar's server mails the guests (default: the profile's)",
    )
    parser.add_argument("--hold", metavar="ID", help="use up a hold of `busyd hold`")
    parser.set_defaults(run=book_appointment)


def book_appointment(arguments: argparse.Namespace) -> int:
    """Book it, and print it with its id."""
    if not arguments.summary.strip():
        raise UsageError("--summary: say what the appointment is called", program="busyd book")
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    key, body = checked_key(arguments), {**time_fields(arguments, zone), **_details(arguments)}
    again = f"run the same with --start {body['start']} --key {key}: it is never booked twice"
    with told_to_a_person(zone, again=again):
        reply = client.request("POST", profile_path(arguments.profile, "appointments"), body=body, key=key)
    return tell_outcome(reply, zone, as_json=arguments.json, again=again_or_see(arguments.profile, again))


def _details(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the event says, as fields of the body; what was left out is the profile's. Raises UsageError."""
    given = {
        "summary": arguments.summary,
        "description": arguments.description,
        "location": arguments.location,
        "url": arguments.url,
        "class": arguments.class_,
        "hold": arguments.hold,
        "tentative": arguments.tentative or None,
        "invite": arguments.invite,
        "guests": [_guest(text) for text in arguments.guest] or None,
        "reminders": arguments.reminder
        and [checked_duration(text, option="--reminder", program="busyd book") for text in arguments.reminder],
    }
    return {name: value for name, value in given.items() if value is not None}


def _guest(text: str) -> dict[str, str]:
    name, address = parseaddr(text)
    if "@" not in address:
        message = f"--guest: {text[:80]!r} is no email address, such as ben@example.org"
        raise UsageError(message, program="busyd book")
    return {"email": address, "name": name} if name else {"email": address}
