"""`busyd why PROFILE TIME`: since when is this moment busy or free, by what, and what was it before?"""

import argparse
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from busyd.cli.asked_time import HOW_TO_WRITE, OR_RELATIVE, asked_time
from busyd.cli.changes import CAUSES, show_change
from busyd.cli.daemon_client import open_client, profile_path
from busyd.cli.exit_status import ExitStatus
from busyd.cli.explain import COUNTS_AS, print_events
from busyd.cli.terminal import print_json, print_table, printable
from busyd.cli.window import print_freshness, show_time, shown_zone
from busyd.clock import SystemClock
from busyd.ical.zones import Zone

_WHAT: Final = {
    "blocks": "takes the time since then",
    "changed": "takes it in another way",
    "released": "no longer takes it",
    "deleted": "was deleted",
}
"""What an event did, for a person."""
_HOURS: Final = {
    True: "inside the working hours",
    False: "outside the working hours",
    None: "no working hours",
}


def add_why_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "why",
        help="show since when a moment is busy or free, and what it was before",
        description="Show what is known of a moment now and why, and every change of it that busyd has noticed: when, "
        "by which event of which calendar, and what it was before. The log goes back at least 7 days. "
        "Where it begins is said.",
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("time", metavar="TIME", nargs="+", help=f"the moment: {HOW_TO_WRITE}{OR_RELATIVE}")
    parser.add_argument("--tz", metavar="ZONE", help="time zone of the times (default: the profile's)")
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=show_why)


def show_why(arguments: argparse.Namespace) -> int:
    """Ask, and print what is so now and what was before, the last change first."""
    client, config = open_client(arguments)
    zone = shown_zone(arguments, config)
    text, now = " ".join(arguments.time), SystemClock().now()
    at = asked_time(text, zone, now=now, option="TIME", program="busyd why")
    answer = client.get(profile_path(arguments.profile, "history"), {"at": at, "tz": arguments.tz})
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    print(_sum_up(answer, zone))
    if answer["events"]:
        print()
        print_events(answer["events"], zone)
    told = [(one["at"], *_describe(one, zone)) for one in answer["changes"]]
    told += [(one["at"], _HOURS[one["within_hours"]], "other working hours") for one in answer["hours_changes"]]
    if told:
        print()
        rows = [(show_time(at, zone), *rest) for at, *rest in sorted(told, key=itemgetter(0), reverse=True)]
        print_table(("NOTICED", "WHAT", "BY"), rows)
    print()
    print(_where_it_ends(answer, zone))
    print_freshness({**answer, "events": None}, zone)
    return ExitStatus.OK


def _sum_up(answer: Mapping[str, Any], zone: Zone) -> str:
    """`Tue 2026-12-01 10:00: busy since Mon 2026-11-30 09:14:07`."""
    state = COUNTS_AS.get(answer["type"], answer["type"])
    since, known = answer["since"], answer["known_since"]
    if since:
        text = f"{state}, noticed {show_time(since, zone)}"
    elif known:
        text = f"{state}, as it was already {show_time(known, zone)}"
    else:
        text = f"{state}; since when is not known"
    outside = "; outside the working hours, so no slot is offered" if answer["within_hours"] is False else ""
    return f"{show_time(answer['at'], zone)}: {text}{outside}"


def _where_it_ends(answer: Mapping[str, Any], zone: Zone) -> str:
    if answer["known_since"] is None:
        return "the log of changes follows 92 days back and 460 days ahead, and does not follow this moment"
    if answer["truncated"]:
        return f"there are earlier changes than the {len(answer['changes'])} told here"
    since = show_time(answer["known_since"], zone)
    return f"whether this moment was busy or free before {since} is not known: its log begins then"


def _describe(change: Mapping[str, Any], zone: Zone) -> tuple[str, str]:
    """What a change made of the moment, and by what."""
    told = change["data"]
    match change["event"]:
        case "busy" | "free":
            return show_change(told), "; ".join(_causes(change, zone))
        case "appointment":
            reason = f": {told['reason']}" if told["reason"] else ""
            return f"appointment {told['state']}{reason}", f"busyd: appointment {told['appointment']}"
        case "connection":
            return (
                f"connection {told['state']}",
                f"{told['connection']}{': ' if told['detail'] else ''}{told['detail']}",
            )
        case _:
            cause = f": {CAUSES[told['cause']]}" if told["cause"] in CAUSES else ""
            return "not known", f"too much changed at once to tell each change{cause}"


def _causes(change: Mapping[str, Any], zone: Zone) -> Iterator[str]:
    told, origin = change["data"], change["origin"] or {}
    for event in origin.get("events", []):
        yield _describe_event(event, zone)
    if origin.get("more"):
        yield f"and {origin['more']} more"
    yield from (f"busyd: {one['kind']} {one['id']}" for one in origin.get("own", []))
    yield from (f"{calendar} counts since then" for calendar in origin.get("counts", []))
    yield from (f"{calendar} no longer counts" for calendar in origin.get("counts_no_longer", []))
    yield from (f"{calendar} counts by other rules" for calendar in origin.get("other_rules", []))
    if not any(origin.get(name) for name in ("events", "own", "counts", "counts_no_longer", "other_rules")):
        yield ", ".join(told["calendars"]) or CAUSES.get(told["cause"], told["cause"])
    for calendar, confirmed in change["confirmed_before"].items():
        yield f"{calendar} had last been confirmed {show_time(confirmed, zone)}"


def _describe_event(event: Mapping[str, Any], zone: Zone) -> str:
    """`anna/Work: Dentist takes the time since then (its calendar says: created …, last changed …)`."""
    name = printable(event["summary"] or f"event {event['uid']}")
    said = [
        f"{word} {show_time(event[field], zone)}"
        for field, word in (("created", "created"), ("last_modified", "last changed"))
        if event[field]
    ]
    claim = f" (its calendar says: {', '.join(said)})" if said else ""
    return f"{event['calendar']}: {name} {_WHAT.get(event['what'], event['what'])}{claim}"
