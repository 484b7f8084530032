"""`busyd status`: the state of every connection and calendar. Asks the running daemon."""

import argparse
from typing import Any

from busyd.cli.daemon_client import client_of
from busyd.cli.disk_space import FREE_SOME, find_lack_of_space
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.status_daemons import daemon_notes, print_daemons
from busyd.cli.terminal import print_json, print_note, print_reminders, print_table
from busyd.cli.window import common_zone, show_span, show_time
from busyd.config import ConfigFaults, ConfigMissing
from busyd.ical.facts import HARMLESS
from busyd.ical.zones import Zone


def add_status_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "status",
        help="show the state of every connection and calendar",
        description="Show the state of every connection and calendar of the running daemon.",
    )
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=show_status)


def show_status(arguments: argparse.Namespace) -> int:
    """Ask, and print connections, calendars and what is wrong."""
    installation = find_installation(arguments)
    answer = client_of(installation).get("/v1/status")
    faults = _faults_of_file(installation)
    lack = find_lack_of_space(installation.state)
    own_notes = [*([f"{lack}: {FREE_SOME}"] if lack else []), *faults]
    if arguments.json:
        print_json(answer)
        for note in own_notes:
            print_note(note)
        return ExitStatus.OK
    connections = answer.get("connections") or []
    zone = common_zone(profile.get("timezone") for profile in answer.get("profiles") or [])
    calendars = [calendar for connection in connections for calendar in connection.get("calendars") or []]
    _print_section(
        ("CONNECTION", "STATE", "LAST POLL", "NEXT POLL"),
        connections,
        keys=("name", "last_poll", "next_poll"),
        zone=zone,
    )
    if sharing := answer.get("sharing"):
        print_daemons(sharing, connections, now=answer.get("now"))
    _print_section(("CALENDAR", "STATE", "CONFIRMED"), calendars, keys=("calendar", "as_of"), zone=zone)
    _print_section(("PROFILE", "STATE", "CONFIRMED"), answer.get("profiles") or [], keys=("name", "as_of"), zone=zone)
    _print_section(
        ("WEBHOOK", "STATE", "LAST DELIVERED"),
        [{**hook, "name": _name_of(hook)} for hook in answer.get("webhooks") or []],
        keys=("name", "delivered"),
        zone=zone,
    )
    reminders = [f"{one.get('name')}/{name}" for one in connections for name in one.get("reminders") or ()]
    print_reminders(reminders, gap="")
    if not connections:
        print("no account is connected; `busyd setup` connects one")
    else:
        print_note(f"times in {zone.name}")
    if faults:
        answer.pop("configuration", None)  # why the last reload was refused; the faults of the current file say more
    for note in [
        *own_notes,
        *_storage_notes(answer.get("storage")),
        *daemon_notes(answer.get("sharing")),
        *_troubles(answer, [*connections, *calendars], zone=zone),
    ]:
        print_note(note)
    return ExitStatus.OK


def _print_section(headers: tuple[str, ...], rows: list[dict[str, Any]], *, keys: tuple[str, ...], zone: Zone) -> None:
    if rows:
        name, *times = keys
        print_table(
            headers,
            [
                (str(row.get(name, "")), str(row.get("state", "")), *(show_time(row.get(time), zone) for time in times))
                for row in rows
            ],
        )
        print()


def _code_of(connection: dict[str, Any]) -> str:
    """What is wrong with a connection, for programs: as in the log and in the report of `busyd doctor`."""
    return f" [{connection['code']}]" if connection.get("code") else ""


def _faults_of_file(installation: Installation) -> list[str]:
    """What is wrong with the current file, which the running daemon does not use."""
    try:
        _ = installation.config
    except ConfigFaults as error:
        head = f"{installation.path} has errors; the daemon continues with the configuration it read before:"
        return [head, *(str(fault) for fault in error.faults)]
    except (ConfigMissing, CommandFailed):
        return []
    return []


def _storage_notes(storage: dict[str, str] | None) -> list[str]:
    if storage is None:
        return []
    return [
        "; ".join(filter(None, ("not everything could be stored lately", storage.get("detail"), storage.get("fix"))))
    ]


def _troubles(answer: dict[str, Any], things: list[dict[str, Any]], *, zone: Zone) -> list[str]:
    details = [
        f"{thing.get('calendar') or thing.get('name')}: {thing['detail']}{_code_of(thing)}"
        for thing in things
        if thing.get("detail")
    ]
    known = {thing["detail"] for thing in things if thing.get("detail")}
    warnings = [str(warning) for warning in answer.get("warnings") or []]
    missing = [
        f"profile {profile.get('name')}: {link['calendar']} is {link.get('state')}: {link['detail']}"
        for profile in answer.get("profiles") or []
        for link in profile.get("calendars") or []
        if link.get("detail")
        and link["detail"] not in known
        and f"profile {profile.get('name')}: {link['detail']}" not in warnings
    ]
    told = [problem for problem in answer.get("problems") or [] if problem.get("kind") not in HARMLESS]
    harmless = len(answer.get("problems") or []) - len(told)
    problems = [
        f"{problem.get('calendar')}: {'accepted: ' if problem.get('accepted') else ''}{problem.get('reason')}"
        f" (event {problem.get('uid') or 'without UID'})"
        for problem in told
    ]
    if harmless:
        problems.append(f"{harmless} more problems lose nothing; `busyd problems list` shows them")
    unsettled = [
        f"appointment {one.get('appointment')} of {one.get('profile')}, {show_span(one, zone)}: {one.get('detail')};"
        f" {one.get('fix')}"
        for one in answer.get("appointments") or []
    ]
    hooks = [
        f"webhook {_name_of(hook)}: {hook['detail']}; {hook.get('fix')}"
        for hook in answer.get("webhooks") or []
        if hook.get("detail")
    ]
    refused = answer.get("configuration")
    return [*([str(refused)] if refused else []), *details, *warnings, *missing, *unsettled, *hooks, *problems]


def _name_of(hook: dict[str, Any]) -> str:
    return f"{hook.get('id')} of {hook.get('profile')} to {hook.get('host')}"
