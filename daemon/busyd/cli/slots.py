"""`busyd slots PROFILE...`: when is there room for an appointment, also of several? Asks the running daemon."""

import argparse

from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus, UsageError
from busyd.cli.no_slots import why_no_slots
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
from busyd.clock import SystemClock

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
        help="list the open slots of a profile, or of several together",
        description="Ask the running daemon for open slots. The profile's settings are the defaults. Of several"
        " profiles it lists the slots in which all are free, or as many as --mode says.",
    )
    add_window_options(parser, several=True)
    for name, meaning in _SHAPE.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="TIME", help=f"{meaning}, such as 30m")
    parser.add_argument("--hours", choices=("none",), help="'none': at any hour, not just working hours")
    parser.add_argument("--tentative", choices=("free",), help="'free': tentative events do not block")
    parser.add_argument("--mode", metavar="MODE", help="of several: all (default), any, or how many, as in n:2")
    parser.add_argument("--rank", choices=("least-busy",), help="of several: who has least busy time comes first")
    add_freshness_options(parser)
    parser.set_defaults(run=show_slots)


def show_slots(arguments: argparse.Namespace) -> int:
    """Ask, and print the slots."""
    names = tuple(arguments.profiles)
    for name in names:
        if names.count(name) > 1:
            message = f"{name} is given twice: name each profile once"
            raise UsageError(message, program="busyd slots")
    arguments.profile = names[0]
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    shape = durations_asked(arguments, (*_SHAPE, "max_age"))
    shape |= {name: getattr(arguments, name) for name in ("hours", "tentative", "on_stale")}
    query = {**window_query(arguments, zone), **shape}
    if is_group := len(names) > 1:
        query |= {"profiles": ",".join(names), "mode": arguments.mode, "rank": arguments.rank}
    elif arguments.mode or arguments.rank:
        raise UsageError("--mode and --rank are for several profiles", program="busyd slots")
    answer = client.get("/v1/slots" if is_group else profile_path(names[0], "slots"), query)
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    headers = ("START", "END", "FREE") if is_group else ("START", "END")
    rows = [
        (show_time(slot["start"], zone), show_time(slot["end"], zone), *([", ".join(slot["free"])] if is_group else []))
        for slot in answer["slots"]
    ]
    if rows:
        print_table(headers, rows)
    else:
        profiles = config.profiles if config is not None else {}
        is_for_all = arguments.mode in (None, "all")
        reasons = (
            why_no_slots(profiles[name], answer, asked=shape, now=SystemClock().now())
            for name in (names if is_for_all else ())
            if name in profiles
        )
        reason = next(filter(None, reasons), "")
        print(f"there are no open slots{f': {reason}' if reason else ''}")
    print_freshness(answer, zone)
    return ExitStatus.OK
