"""`busyd block`: time that is marked as busy by hand: add, list, remove. Asks the running daemon."""

import argparse
from typing import Any
from urllib.parse import quote

from busyd.cli.asked_time import HOW_TO_WRITE, OR_RELATIVE, checked_duration
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import (
    add_window_options,
    describe_window,
    show_span,
    shown_zone,
    times_asked,
    window_query,
)
from busyd.ical.zones import Zone


def add_block_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "block",
        help="block time manually: add, list, remove",
        description="Block time manually. It takes effect in every answer and feed immediately, and "
        "is in no calendar, unless --write puts it there.",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = commands.add_parser("add", help="block a span of time", description="Block a span of time.")
    adding.add_argument("profile", metavar="PROFILE")
    adding.add_argument("--start", metavar="TIME", required=True, help=f"{HOW_TO_WRITE}{OR_RELATIVE}")
    length = adding.add_mutually_exclusive_group(required=True)
    length.add_argument("--end", metavar="TIME", help="the end, not included, written alike")
    length.add_argument("--duration", metavar="TIME", help="its length, such as 30m, instead of --end")
    adding.add_argument("--write", action="store_true", help="also as an event in the calendar of `blocks:`")
    adding.add_argument("--summary", metavar="TEXT", default="", help="what it is for; only for those who see details")
    adding.add_argument("--type", choices=("BUSY", "BUSY-UNAVAILABLE"), default="BUSY", help="default: BUSY")
    adding.add_argument("--tz", metavar="ZONE", help="time zone of what is printed (default: the profile's)")
    adding.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    adding.set_defaults(run=add_block)
    listing = commands.add_parser("list", help="list the blocks in a window", description="List the blocks in force.")
    add_window_options(listing)
    listing.set_defaults(run=list_blocks)
    removing = commands.add_parser("remove", help="remove a block", description="Remove a block.")
    removing.add_argument("profile", metavar="PROFILE")
    removing.add_argument("id", metavar="ID", help="as `busyd block list PROFILE` shows it")
    removing.add_argument("--reason", metavar="TEXT", help="why, for the record")
    removing.set_defaults(run=remove_block)


def add_block(arguments: argparse.Namespace) -> int:
    """Add it, and print it with its id."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    times = times_asked(arguments, zone, is_written=True)
    if arguments.duration is not None:
        times["duration"] = checked_duration(arguments.duration, option="--duration", program="busyd block add")
    wanted = {**times, "summary": arguments.summary, "type": arguments.type, "write": arguments.write}
    body = {name: value for name, value in wanted.items() if value is not None}
    block = client.change("POST", profile_path(arguments.profile, "blocks"), body=body)
    if arguments.json:
        print_json(block)
    else:
        _print_blocks([block], zone)
    return ExitStatus.OK


def list_blocks(arguments: argparse.Namespace) -> int:
    """Ask, and print them."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    query = window_query(arguments, zone)
    answer = client.get(profile_path(arguments.profile, "blocks"), query)
    window = describe_window(query, zone)
    if arguments.json:
        print_json(answer)
    elif answer["blocks"]:
        _print_blocks(answer["blocks"], zone)
        print_note(f"blocks from {window}; --start and --end show others")
    else:
        print(f"there are no blocks from {window} ({zone.name}); --start and --end show others")
    return ExitStatus.OK


def remove_block(arguments: argparse.Namespace) -> int:
    """Remove it; the same when it is removed already."""
    client, _ = open_client(arguments)
    path = f"{profile_path(arguments.profile, 'blocks')}/{quote(arguments.id, safe='')}"
    client.change("DELETE", path, query={"reason": arguments.reason})
    print(f"removed: {arguments.id}")
    return ExitStatus.OK


def _print_blocks(blocks: list[dict[str, Any]], zone: Zone) -> None:
    rows = [
        (
            str(block["id"]),
            show_span(block, zone),
            str(block["type"]),
            str(block["summary"]),
        )
        for block in blocks
    ]
    print_table(("ID", "WHEN", "TYPE", "SUMMARY"), rows)
    print_note(f"times in {zone.name}")
