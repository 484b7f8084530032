"""`busyd cancel`: have an appointment go. Asks the running daemon."""

import argparse

from busyd.cli.asked_appointment import appointment_path, tell_outcome, told_to_a_person
from busyd.cli.daemon_client import open_client
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json
from busyd.cli.window import shown_zone


def add_cancel_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "cancel",
        help="cancel an appointment",
        description="Cancel an appointment: its event is removed from the calendar. "
        "Exit status: 0 cancelled, 1 refused, 69 no daemon answers, 75 not settled.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("id", metavar="ID", help="as `busyd appointments PROFILE` shows it")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the record")
    parser.add_argument("--tz", metavar="ZONE", help="time zone of what is printed (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print the appointment as it is then as JSON")
    parser.set_defaults(run=cancel_appointment)


def cancel_appointment(arguments: argparse.Namespace) -> int:
    """Cancel it; the same when it is cancelled already."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    path, again = appointment_path(arguments.profile, arguments.id), "run the same again"
    with told_to_a_person(zone, again=again):
        reply = client.request("DELETE", path, query={"reason": arguments.reason})
    if reply.body is not None:
        return tell_outcome(reply, zone, as_json=arguments.json, again="it settles by itself")
    if arguments.json:
        print_json(client.get(path))
    else:
        print(f"cancelled: {arguments.id}")
    return ExitStatus.OK
