"""`busyd move`: another time for an appointment. Asks the running daemon."""

import argparse

from busyd.cli.asked_appointment import (
    add_time_options,
    again_or_see,
    appointment_path,
    checked_key,
    tell_outcome,
    time_fields,
    told_to_a_person,
)
from busyd.cli.daemon_client import open_client
from busyd.cli.window import shown_zone


def add_move_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "move",
        help="move an appointment to another time",
        description="Move an appointment to another time that `busyd slots` offers. A move that is refused leaves it "
        "where it is. Exit status: 0 moved, 1 refused, 64 invalid, 69 no daemon answers, 75 not settled or not proven.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("id", metavar="ID", help="as `busyd appointments PROFILE` shows it")
    add_time_options(parser)
    parser.set_defaults(run=move_appointment)


def move_appointment(arguments: argparse.Namespace) -> int:
    """Move it, and print it; without --duration and --end it stays as long as it was."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    key, body = checked_key(arguments), time_fields(arguments, zone)
    again = f"run the same with --start {body['start']} --key {key}"
    with told_to_a_person(zone, again=again):
        reply = client.request("PATCH", appointment_path(arguments.profile, arguments.id), body=body, key=key)
    return tell_outcome(reply, zone, as_json=arguments.json, again=again_or_see(arguments.profile, again))
