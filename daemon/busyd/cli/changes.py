"""`busyd changes PROFILE`: what became busy, free or uncertain, and when. Asks the running daemon; may go on asking."""

import argparse
import http.client
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from busyd.cli.daemon_client import DaemonClient, NotAnswering, open_client, profile_path
from busyd.cli.exit_status import CommandFailed, ExitStatus, UsageError
from busyd.cli.explain import COUNTS_AS
from busyd.cli.terminal import print_json, print_note, printable
from busyd.cli.window import show_span, show_time, shown_zone
from busyd.ical.zones import Zone

CAUSES: Final = {
    "own": "busyd itself",
    "configuration": "another configuration",
    "reading": "a calendar was read for the first time, or no longer counts as read",
    "restart": "found when busyd started",
}
"""Causes of a change for which no calendar is named, for a person."""
MOST: Final = 1000
_PAUSE: Final = 3.0
"""Seconds before a stream that broke off is asked for again."""


def add_changes_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "changes",
        help="show what became busy or free",
        description="Show the last changes of a profile's busy time from the log of the running daemon. The log goes "
        "back at least 7 days.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("--follow", action="store_true", help="keep running and print changes as they happen")
    parser.add_argument(
        "--last", metavar="N", type=int, default=20, help=f"show the last N changes, up to {MOST} (default: 20)"
    )
    parser.add_argument("--tz", metavar="ZONE", help="time zone of the times (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print JSON; with --follow one object a line")
    parser.set_defaults(run=show_changes)


def show_changes(arguments: argparse.Namespace) -> int:
    """Print the last changes, and with --follow all that come."""
    if not 0 <= arguments.last <= MOST:
        message = f"--last: must be from 0 to {MOST}"
        raise UsageError(message, program="busyd changes")
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    path = profile_path(arguments.profile, "changes")
    answer = client.get(path, {"limit": str(max(arguments.last, 1))})
    changes = answer["changes"][-arguments.last :] if arguments.last else []
    if arguments.json and not arguments.follow:
        print_json({**answer, "changes": changes})
        return ExitStatus.OK
    if not arguments.json:
        print_note(f"times in {zone.name}")
        if not answer["changes"] and not arguments.follow:
            print("nothing has changed since the log began")
    for change in changes:
        _print(change, zone, as_json=arguments.json)
    if arguments.follow:
        for change in _follow(client, path, last=answer["last_event_id"]):
            _print(change, zone, as_json=arguments.json)
    return ExitStatus.OK


def _follow(client: DaemonClient, path: str, *, last: int) -> Iterator[dict[str, Any]]:
    """Changes as they come, over restarts of the daemon too."""
    while True:
        try:
            for number, event, data in _read(client.events(path, {"last_event_id": str(last)})):
                last = int(number) if number else last
                if event not in ("", "heartbeat"):
                    yield {"id": last, "event": event, "data": json.loads(data)}
        except (NotAnswering, OSError, http.client.HTTPException):
            print_note("the daemon does not answer, trying again")
        except CommandFailed as error:
            if error.status != ExitStatus.TRY_AGAIN:
                raise
            print_note(f"{error}; trying again")
        time.sleep(_PAUSE)


def _read(response: http.client.HTTPResponse) -> Iterator[tuple[str, str, str]]:
    """(id, type, data) of each event as it comes, in the form in which busyd writes them."""
    fields: dict[str, str] = {}
    while raw := response.readline():
        line = raw.decode().rstrip("\n")
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        else:
            yield fields.get("id", ""), fields.get("event", ""), fields.get("data", "")
            fields = {}


def _print(change: dict[str, Any], zone: Zone, *, as_json: bool) -> None:
    line = json.dumps(change, ensure_ascii=False) if as_json else printable(_describe(change, zone))
    print(line)
    sys.stdout.flush()


def show_change(told: Mapping[str, Any]) -> str:
    """What a span became, and what it was. Where only that is another, whether it is certain."""
    now, before = (COUNTS_AS.get(told[key], told[key]) for key in ("type", "before"))
    certain = ", now certain" if now == before else ""
    return f"{now}{', uncertain' if told['uncertain'] else certain} (was {before})"


def _describe(change: dict[str, Any], zone: Zone) -> str:
    """One line for a person."""
    told = change["data"]
    at = show_time(told.get("at"), zone) if told.get("at") else "-"
    match change["event"]:
        case "busy" | "free":
            why = ", ".join(told["calendars"]) or CAUSES.get(told["cause"], told["cause"])
            return f"{at}  {show_span(told, zone)}  {show_change(told)}  {why}"
        case "appointment":
            was = f" (was {told['before']})" if told["before"] else ""
            reason = f": {told['reason']}" if told["reason"] else ""
            elsewhere = f", {told['changed_elsewhere']} elsewhere" if told["changed_elsewhere"] else ""
            state = f"{told['state']}{reason}{elsewhere}{was}"
            return f"{at}  {show_span(told, zone)}  appointment {told['appointment']} {state}"
        case "connection":
            detail = f": {told['detail']}" if told["detail"] else ""
            return f"{at}  connection {told['connection']}: {told['state']}{detail}"
        case _:
            return f"{at}  too much changed at once to list it; `busyd freebusy` has the busy time as it is now"
