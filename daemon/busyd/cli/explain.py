"""`busyd explain PROFILE`: why is this person busy, or not? Asks the running daemon."""

import argparse
from typing import Any

from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_table
from busyd.cli.window import add_window_options, print_standing, show_time, shown_zone, window_query


def add_explain_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "explain",
        help="tell why a profile is busy, or is not",
        description="List every event that touches the window, also those that do not block, with what was decided "
        "and by which rule of the configuration.",
    )
    add_window_options(parser)
    parser.set_defaults(run=show_explanation)


def show_explanation(arguments: argparse.Namespace) -> int:
    """Ask, and print event by event."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    answer = client.get(profile_path(arguments.profile, "explain"), window_query(arguments))
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    rows = [
        (
            show_time(event.get("start"), zone),
            show_time(event.get("end"), zone),
            str(event.get("type", "")),
            _why(event),
            str(event.get("calendar", "")),
            str(event.get("summary") or event.get("uid", "")),
        )
        for event in answer.get("events", [])
    ]
    if rows:
        print_table(("START", "END", "TYPE", "WHY", "CALENDAR", "EVENT"), rows)
    else:
        print("no event touches this window")
    print_standing(answer, zone)
    return ExitStatus.OK


def _why(event: dict[str, Any]) -> str:
    rule, origin = event.get("rule"), event.get("origin")
    because = f" by {rule} ({origin or 'default'})" if rule else ""
    return f"{event.get('reason', '')}{because}"
