"""`busyd explain PROFILE`: why is this person busy, or free? Asks the running daemon."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, Final

from busyd.advice.reasons import describe_reason
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_note, print_table
from busyd.cli.window import add_window_options, print_freshness, show_span, shown_zone, window_query
from busyd.ical.zones import Zone

COUNTS_AS: Final = {
    "BUSY": "busy",
    "BUSY-TENTATIVE": "tentative",
    "BUSY-UNAVAILABLE": "unavailable",
    "FREE": "free",
}
"""The types of RFC 5545 in words for a person."""
_SHOWN: Final = 3
"""Times of a calendar that does not count that are listed."""


def add_explain_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "explain",
        help="show why a profile is busy or free",
        description="List every event that touches the window, including those that do not block time, with what was "
        "decided and by which rule of the configuration.",
    )
    add_window_options(parser)
    parser.set_defaults(run=show_explanation)


def show_explanation(arguments: argparse.Namespace) -> int:
    """Ask, and print event by event."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    answer = client.get(profile_path(arguments.profile, "explain"), window_query(arguments, zone))
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    if answer.get("events"):
        print_events(answer["events"], zone)
    elif not answer.get("detail"):
        print("no events touch this window")
    if answer.get("detail"):
        print_note(answer["detail"])
    for calendar in answer.get("elsewhere") or []:
        spans = [show_span(span, zone) for span in calendar.get("periods") or []]
        more = f" and {len(spans) - _SHOWN} more" if len(spans) > _SHOWN else ""
        print_note(f"{calendar.get('explanation')}: {', '.join(spans[:_SHOWN])}{more}")
    print_freshness(answer, zone)
    return ExitStatus.OK


def print_events(events: Sequence[Mapping[str, Any]], zone: Zone) -> None:
    """A table of events with what was decided about them, and notes on what is odd in them."""
    rows = [
        (
            show_span(event, zone),
            _counts_as(event),
            _why(event),
            str(event.get("calendar", "")),
            _title(event),
        )
        for event in events
    ]
    print_table(("WHEN", "COUNTS AS", "WHY", "CALENDAR", "EVENT"), rows)
    for event in events:
        for note in event.get("notes") or []:
            print_note(f"{event.get('calendar')}: {_title(event)}: {note}")


def _counts_as(event: Mapping[str, Any]) -> str:
    if event.get("reason") == "unreadable":
        return "not known"  # it has no place in time, so no answer is complete while it is there
    return COUNTS_AS.get(str(event.get("type", "")), str(event.get("type", "")))


def _title(event: Mapping[str, Any]) -> str:
    return str(event.get("summary") or ("(no title)" if event.get("uid") else ""))


def _why(event: Mapping[str, Any]) -> str:
    rule, origin = str(event.get("rule") or ""), str(event.get("origin") or "")
    return describe_reason(str(event.get("reason", "")), rule=rule, origin=origin)
