"""`busyd hold`: keep a slot for some minutes, or give it back. Asks the running daemon."""

import argparse
from urllib.parse import quote

from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus, UsageError
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import show_time, shown_zone


def add_hold_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "hold",
        help="keep a slot for some minutes, or give it back",
        description="Reserve a slot that `busyd slots` offers for a few minutes; it is busy for everybody else.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--start", metavar="TIME", help="where the slot starts, as `busyd slots --json` has it")
    parser.add_argument("--duration", metavar="TIME", help="its length, such as 30m (default: the profile's)")
    parser.add_argument("--end", metavar="TIME", help="its end, instead of --duration")
    parser.add_argument("--ttl", metavar="TIME", help="how long it is kept: 1m to 60m (default: 5m)")
    parser.add_argument("--give-back", metavar="ID", help="release the hold ID instead")
    parser.add_argument("--tz", metavar="ZONE", help="time zone of what is printed (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=hold_slot)


def hold_slot(arguments: argparse.Namespace) -> int:
    """Hold it, and print until when; or give a hold back."""
    if (arguments.start is None) is (arguments.give_back is None):
        raise UsageError("give either --start or --give-back", program="busyd hold")
    client, config = open_client(arguments)
    path = profile_path(arguments.profile, "holds")
    if arguments.give_back is not None:
        client.change("DELETE", f"{path}/{quote(arguments.give_back, safe='')}")
        print(f"given back: {arguments.give_back}")
        return ExitStatus.OK
    named = {name: getattr(arguments, name) for name in ("start", "duration", "end", "ttl")}
    hold = client.change("POST", path, body={name: value for name, value in named.items() if value is not None})
    if arguments.json:
        print_json(hold)
        return ExitStatus.OK
    zone = shown_zone(arguments, config)
    times = [show_time(hold[name], zone) for name in ("start", "end", "expires")]
    print_table(("ID", "START", "END", "EXPIRES"), [(str(hold["id"]), *times)])
    print_note(f"times in {zone.name}")
    return ExitStatus.OK
