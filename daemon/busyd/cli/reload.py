"""`busyd reload`: have the running daemon apply a changed configuration, and tell what came of it."""

import argparse
import sys
from typing import Any

from busyd.cli.daemon_client import client_of
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.terminal import print_json, print_note, printable


def add_reload_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "reload",
        help="apply a changed configuration to the running daemon",
        description="Have the running daemon read its configuration again (as SIGHUP does), wait for it, and tell what "
        "came of it. Exit status 0: applied; 78: it is faulty, the old one stays; 1: applied but for keys that need a "
        "restart.",
    )
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=reload_daemon)


def reload_daemon(arguments: argparse.Namespace) -> int:
    """Ask the daemon for a reload; the file is read by it alone, as what counts is what it makes of it."""
    found = find_installation(arguments)
    found.require_access()
    if not found.is_in_use:
        message = f"no daemon runs on {found.state}"
        fix = "start it with `busyd run`, or `systemctl start busyd`"
        raise CommandFailed(message, fix=fix, status=ExitStatus.REMOTE_UNAVAILABLE)
    answer = _ask(found)
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    if arguments.json:
        print_json(answer)
    elif outcome == "refused":
        _print_refusal(answer)
    else:
        _print_applied(answer)
    return {"applied": ExitStatus.OK, "refused": ExitStatus.CONFIG}.get(str(outcome), ExitStatus.FAILED)


def _ask(found: Installation) -> Any:
    try:
        return client_of(found).post("/v1/reload")
    except CommandFailed as error:
        if found.running is None and error.status == ExitStatus.REMOTE_UNAVAILABLE:
            message = f"the daemon on {found.state} is only starting, and reads its configuration anyway"
            raise CommandFailed(message, fix="try again in a moment", status=ExitStatus.TRY_AGAIN) from None
        raise


def _print_refusal(answer: dict[str, Any]) -> None:
    faults = answer.get("faults") or []
    for fault in faults:
        print_note(f"{fault['file']}:{fault['line']}:{fault['column']}: {fault['message']}")
    counted = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    print(f"busyd: refused, {counted}: the old configuration stays", file=sys.stderr)


def _print_applied(answer: dict[str, Any]) -> None:
    for warning in answer.get("warnings") or []:
        print_note(str(warning))
    changed = answer.get("changed") or []
    print("applied:" if changed else "applied: nothing has changed", flush=True)
    for change in changed:
        print(f"  {printable(str(change))}")
    if waiting := answer.get("needs_restart"):
        sys.stdout.flush()
        print(f"busyd: a restart is needed for {', '.join(map(str, waiting))}", file=sys.stderr)
        print("       `systemctl restart busyd`, or stop `busyd run` and start it again", file=sys.stderr)
