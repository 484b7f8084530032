"""`busyd calendars`: the calendars that can be linked. Asks the running daemon."""

import argparse

from busyd.cli.daemon_client import open_client
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_reminders, print_table


def add_calendars_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "calendars",
        help="list the calendars of all connections",
        description="List the calendars of all connections as the running daemon knows them, with the ids by which the "
        "configuration can refer to them.",
    )
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=show_calendars)


def show_calendars(arguments: argparse.Namespace) -> int:
    """Ask, and print calendar by calendar."""
    client, _ = open_client(arguments)
    answer = client.get("/v1/calendars")
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    rows = [
        (
            str(calendar.get("calendar", "")),
            str(calendar.get("id", "")),
            str(calendar.get("kind", "")),
            "yes" if calendar.get("writable") else "no",
            "yes" if calendar.get("linked") else "no",
            str(calendar.get("state", "")),
        )
        for calendar in answer.get("calendars", [])
    ]
    if rows:
        print_table(("CALENDAR", "ID", "KIND", "WRITABLE", "LINKED", "STATE"), rows)
    else:
        print("no calendars are known yet; `busyd status` shows why")
    print_reminders(answer.get("reminders") or ())
    return ExitStatus.OK
