"""`busyd appointments`: what busyd was asked to write in a window, and how far that has come."""

import argparse

from busyd.cli.asked_appointment import print_appointments
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_note
from busyd.cli.window import add_window_options, describe_window, shown_zone, window_query


def add_appointments_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "appointments",
        help="list the appointments of a profile",
        description="List the appointments that busyd was asked to write, cancelled ones included.",
    )
    add_window_options(parser)
    parser.set_defaults(run=list_appointments)


def list_appointments(arguments: argparse.Namespace) -> int:
    """Ask, and print them."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    query = window_query(arguments, zone)
    answer = client.get(profile_path(arguments.profile, "appointments"), query)
    window = describe_window(query, zone)
    if arguments.json:
        print_json(answer)
    elif answer["appointments"]:
        print_appointments(answer["appointments"], zone)
        print_note(f"appointments from {window}; --start and --end show others")
    else:
        print(f"there are no appointments from {window} ({zone.name}); --start and --end show others")
    return ExitStatus.OK
