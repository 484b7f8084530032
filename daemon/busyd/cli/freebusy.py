"""`busyd freebusy PROFILE`: when is this person busy? Asks the running daemon."""

import argparse

from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_table
from busyd.cli.window import (
    add_freshness_options,
    add_window_options,
    durations_asked,
    print_freshness,
    show_time,
    shown_zone,
    window_query,
)


def add_freebusy_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "freebusy",
        help="show when a profile is busy",
        description="Ask the running daemon when a profile is busy.",
    )
    add_window_options(parser)
    add_freshness_options(parser)
    parser.set_defaults(run=show_freebusy)


def show_freebusy(arguments: argparse.Namespace) -> int:
    """Ask, and print the busy periods."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    query = {
        **window_query(arguments, zone),
        **durations_asked(arguments, ("max_age",)),
        "on_stale": arguments.on_stale,
    }
    answer = client.get(profile_path(arguments.profile, "freebusy"), query)
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    rows = [
        (show_time(period["start"], zone), show_time(period["end"], zone), period["type"]) for period in answer["busy"]
    ]
    if rows:
        print_table(("START", "END", "TYPE"), rows)
    else:
        print(f"nothing is busy from {show_time(answer['start'], zone)} to {show_time(answer['end'], zone)}")
    print_freshness(answer, zone)
    return ExitStatus.OK
