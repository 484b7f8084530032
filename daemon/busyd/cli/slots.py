"""`busyd slots PROFILE`: when is there room for an appointment? Asks the running daemon."""

import argparse

from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_table
from busyd.cli.window import (
    add_freshness_options,
    add_window_options,
    print_freshness,
    show_time,
    shown_zone,
    window_query,
)

_SHAPE = {
    "duration": "length of the appointment",
    "step": "interval of the grid on which slots start",
    "notice": "minimum time from now until a slot starts",
    "buffer_before": "free time needed before the appointment",
    "buffer_after": "free time needed after the appointment",
}


def add_slots_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "slots",
        help="list the open slots of a profile",
        description="Ask the running daemon for open slots. The profile's settings are the defaults.",
    )
    add_window_options(parser)
    for name, meaning in _SHAPE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="TIME", help=f"{meaning}, such as 30m")
    parser.add_argument("--hours", choices=("none",), help="'none': at any hour, not just working hours")
    parser.add_argument("--tentative", choices=("free",), help="'free': tentative events do not block")
    add_freshness_options(parser)
    parser.set_defaults(run=show_slots)


def show_slots(arguments: argparse.Namespace) -> int:
    """Ask, and print the slots."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    shape = {name: getattr(arguments, name) for name in (*_SHAPE, "hours", "tentative", "max_age", "on_stale")}
    answer = client.get(profile_path(arguments.profile, "slots"), {**window_query(arguments), **shape})
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    rows = [(show_time(slot["start"], zone), show_time(slot["end"], zone)) for slot in answer["slots"]]
    if rows:
        print_table(("START", "END"), rows)
    else:
        print("there are no open slots")
    print_freshness(answer, zone)
    return ExitStatus.OK
