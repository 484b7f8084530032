"""`busyd sync`: has the running daemon poll its connections now, and shows its progress."""

import argparse
import sys
from typing import Any

from busyd.cli.daemon_client import open_client
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.progress import open_progress
from busyd.cli.terminal import print_note


def add_sync_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "sync",
        help="poll the servers now",
        description="Have the running daemon poll its connections now, and wait until it is done.",
    )
    parser.add_argument("--now", action="store_true", help="poll now; this is the default, and the only mode")
    parser.set_defaults(run=sync_now)


def sync_now(arguments: argparse.Namespace) -> int:
    """Ask, and show progress until the daemon is done."""
    client, config = open_client(arguments)
    if config is not None and not config.connections:
        print("no account is connected; `busyd setup` connects one")
        return ExitStatus.OK
    troubles: list[str] = []
    finished: dict[str, Any] | None = None
    with open_progress(sys.stdout) as progress:
        for line in client.stream("/v1/sync"):
            if not isinstance(line, dict):
                continue
            if line.get("finished"):
                finished = line
                break
            progress.show(line)
            if line.get("detail"):
                troubles.append(f"{line.get('calendar') or line.get('connection')}: {line['detail']}")
    for trouble in troubles:
        print_note(trouble)
    if finished is None:
        message = "the daemon stopped before the sync was complete"
        raise CommandFailed(
            message, fix="try again, and see the daemon's log for the reason", status=ExitStatus.TRY_AGAIN
        )
    failed = finished.get("failed")
    if isinstance(failed, list) and failed:
        message = f"could not read {', '.join(str(name) for name in failed)}"
        is_refused = set(failed) <= set(finished.get("refused") or ())
        status = ExitStatus.LOGIN_REFUSED if is_refused else ExitStatus.REMOTE_UNAVAILABLE
        raise CommandFailed(message, fix="run `busyd status` to see why", status=status)
    print("done")
    return ExitStatus.OK
