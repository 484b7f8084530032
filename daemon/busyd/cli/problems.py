"""`busyd problems`: what in the calendars is not understood, and which of it does not matter. Asks the daemon."""

import argparse
from typing import Any
from urllib.parse import quote

from busyd.cli.daemon_client import open_client
from busyd.cli.exit_status import ExitStatus
from busyd.cli.terminal import print_json, print_note, print_table


def add_problems_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "problems",
        help="list events that are not understood, and accept those that do not matter",
        description="List events that busyd could not fully understand, and accept those that do not matter.",
    )
    commands = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = commands.add_parser(
        "list",
        help="list every problem with its id",
        description="List every problem of an event with its id. `incomplete` are those because of which answers are "
        "not complete and slots are refused; the rest are listed only so that you can fix them.",
    )
    shown.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    shown.set_defaults(run=list_problems)
    accept = commands.add_parser(
        "accept",
        help="say that an event which is not understood does not matter",
        description="Say that an event which is not understood does not matter: its unknown time no "
        "longer blocks, and answers are complete again. The acceptance expires when the event changes.",
    )
    accept.add_argument("id", metavar="ID", help="as `busyd problems list` shows it")
    accept.add_argument("--undo", action="store_true", help="take an acceptance back")
    accept.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    accept.set_defaults(run=accept_problem)


def list_problems(arguments: argparse.Namespace) -> int:
    """Ask, and print them, first those that matter."""
    client, _ = open_client(arguments)
    answer = client.get("/v1/problems")
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    problems = sorted(answer.get("problems") or [], key=_weight)
    if not problems:
        print("no problems")
        return ExitStatus.OK
    rows = [
        (
            str(problem.get("id", "")),
            state_of(problem),
            str(problem.get("calendar", "")),
            str(problem.get("uid") or problem.get("href", "")),
            str(problem.get("reason", "")),
        )
        for problem in problems
    ]
    print_table(("ID", "STATE", "CALENDAR", "EVENT", "PROBLEM"), rows)
    if any(state_of(problem) == "incomplete" for problem in problems):
        print_note(
            "correct or delete the incomplete ones in a calendar app; `busyd problems accept ID` if one does not matter"
        )
    return ExitStatus.OK


def accept_problem(arguments: argparse.Namespace) -> int:
    """Accept it, or take that back."""
    client, _ = open_client(arguments)
    action = "withdraw" if arguments.undo else "accept"
    answer = client.post(f"/v1/problems/{quote(arguments.id, safe='')}/{action}")
    if arguments.json:
        print_json(answer)
        return ExitStatus.OK
    for problem in answer.get("problems") or []:
        print(f"{state_of(problem)}: {problem.get('calendar')}: event {problem.get('uid') or problem.get('href')}")
    return ExitStatus.OK


def state_of(problem: dict[str, Any]) -> str:
    """What a problem does to answers, in a word."""
    if not problem.get("incomplete"):
        return "harmless"
    return "accepted" if problem.get("accepted") else "incomplete"


def _weight(problem: dict[str, Any]) -> tuple[int, str, str]:
    order = ("incomplete", "accepted", "harmless")
    return order.index(state_of(problem)), str(problem.get("calendar")), str(problem.get("uid"))
