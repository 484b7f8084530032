"""`busyd hold`: keep a slot for some minutes, or give it back. Asks the running daemon."""

import argparse
from typing import Any, Final
from urllib.parse import quote

from busyd.cli.asked_appointment import told_to_a_person
from busyd.cli.asked_time import HOW_TO_WRITE
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus, UsageError
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import durations_asked, show_span, show_time, shown_zone, times_asked
from busyd.ical.zones import Zone

_ALL: Final = {"start": "-1d", "end": "+998d"}
"""The longest window that may be asked about; holds are never far away."""


def add_hold_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "hold",
        help="keep a slot for some minutes, or give it back",
        description="Reserve a slot that `busyd slots` offers for a few minutes; it is busy for everybody else.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("of", nargs="?", help=argparse.SUPPRESS)  # `hold list PROFILE`, as with blocks
    parser.add_argument("--start", metavar="TIME", help=f"where the slot starts: {HOW_TO_WRITE}")
    parser.add_argument("--duration", metavar="TIME", help="its length, such as 30m (default: the profile's)")
    parser.add_argument("--end", metavar="TIME", help="its end, instead of --duration")
    parser.add_argument("--ttl", metavar="TIME", help="how long it is kept: 1m to 60m (default: 5m)")
    parser.add_argument("--give-back", metavar="ID", help="release the hold ID instead")
    parser.add_argument("--list", action="store_true", help="list the holds that are alive instead")
    parser.add_argument("--tz", metavar="ZONE", help="time zone of what is printed (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=hold_slot)


def hold_slot(arguments: argparse.Namespace) -> int:
    """Hold it, and print until when; or give a hold back."""
    if arguments.of is not None:
        if arguments.profile != "list":
            message = f"unexpected argument {arguments.of!r}"
            raise UsageError(message, program="busyd hold")
        arguments.profile, arguments.list = arguments.of, True
    if sum((arguments.start is not None, arguments.give_back is not None, arguments.list)) != 1:
        raise UsageError("give one of --start, --give-back and --list", program="busyd hold")
    client, config = open_client(arguments)
    path = profile_path(arguments.profile, "holds")
    if arguments.give_back is not None:
        client.change("DELETE", f"{path}/{quote(arguments.give_back, safe='')}")
        print(f"given back: {arguments.give_back}")
        return ExitStatus.OK
    zone = shown_zone(arguments, config)
    if arguments.list:
        return _list_holds(client.get(path, _ALL), zone, as_json=arguments.json)
    times = times_asked(arguments, zone, is_written=True)
    named = {**times, **durations_asked(arguments, ("duration", "ttl"))}
    with told_to_a_person(zone):
        hold = client.change("POST", path, body={name: value for name, value in named.items() if value is not None})
    if arguments.json:
        print_json(hold)
        return ExitStatus.OK
    return _print_holds([hold], zone)


def _list_holds(answer: dict[str, Any], zone: Zone, *, as_json: bool) -> int:
    if as_json:
        print_json(answer)
    elif answer["holds"]:
        return _print_holds(answer["holds"], zone)
    else:
        print("there are no holds")
    return ExitStatus.OK


def _print_holds(holds: list[dict[str, Any]], zone: Zone) -> int:
    rows = [(str(hold["id"]), show_span(hold, zone), show_time(hold["expires"], zone)) for hold in holds]
    print_table(("ID", "WHEN", "EXPIRES"), rows)
    print_note(f"times in {zone.name}")
    return ExitStatus.OK
