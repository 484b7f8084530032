"""`busyd reload`: has the running daemon apply a changed configuration, and reports the outcome."""

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
        description="Have the running daemon read its configuration again (as SIGHUP does), wait for the outcome and "
        "report it. Exit status 0: applied; 78: refused because of errors, the old configuration stays in effect; 1: "
        "applied, but a calendar that is named does not exist, a password cannot be read, or a key needs a restart; "
        "69: no daemon runs; 75: it is still starting.",
    )
    parser.add_argument("--json", action="store_true", help="print the daemon's answer as JSON")
    parser.set_defaults(run=reload_daemon)


def reload_daemon(arguments: argparse.Namespace) -> int:
    """Ask the daemon for a reload. Only the daemon reads the file, since its reading is the one that counts."""
    installation = find_installation(arguments)
    installation.require_access()
    if not installation.is_in_use:
        message = f"no daemon runs on {installation.state}"
        raise CommandFailed(message, fix=installation.how_to_start, status=ExitStatus.REMOTE_UNAVAILABLE)
    answer = _ask(installation)
    outcome = answer.get("outcome") if isinstance(answer, dict) else None
    if arguments.json:
        print_json(answer)
    elif outcome == "refused":
        _print_refusal(answer)
    else:
        _print_applied(answer, installation)
    if outcome == "applied" and answer.get("missing"):
        return ExitStatus.FAILED
    return {"applied": ExitStatus.OK, "refused": ExitStatus.CONFIG}.get(str(outcome), ExitStatus.FAILED)


def _ask(installation: Installation) -> Any:
    try:
        return client_of(installation).post("/v1/reload")
    except CommandFailed as error:
        if installation.running is None and error.status == ExitStatus.REMOTE_UNAVAILABLE:
            message = f"the daemon on {installation.state} is still starting, and is reading its configuration"
            raise CommandFailed(message, fix="try again in a moment", status=ExitStatus.TRY_AGAIN) from None
        raise


def _print_refusal(answer: dict[str, Any]) -> None:
    faults = answer.get("faults") or []
    for fault in faults:
        print_note(f"{fault['file']}:{fault['line']}:{fault['column']}: {fault['message']}")
    counted = "1 error" if len(faults) == 1 else f"{len(faults)} errors"
    print(f"busyd: refused because of {counted}; the old configuration stays in effect", file=sys.stderr)


def _print_applied(answer: dict[str, Any], installation: Installation) -> None:
    missing = answer.get("missing") or []
    for warning in [one for one in answer.get("warnings") or [] if one not in missing]:
        print_note(str(warning))
    changed = answer.get("changed") or []
    print("applied:" if changed else "applied: nothing changed", flush=True)
    for change in changed:
        print(f"  {printable(str(change))}")
    sys.stdout.flush()
    for sentence in missing:
        print(f"busyd: {printable(str(sentence))}", file=sys.stderr)
    if waiting := answer.get("needs_restart"):
        sys.stdout.flush()
        print(f"busyd: a restart is needed for {', '.join(map(str, waiting))}", file=sys.stderr)
        print(f"       {installation.how_to_restart}", file=sys.stderr)
