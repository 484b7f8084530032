"""`busyd reload`: have the running daemon apply a changed configuration. A faulty one is refused here already."""

import argparse
import contextlib
import fcntl
import os
import signal
from pathlib import Path
from typing import Final

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.settings import load_settings, state_directory
from busyd.cli.terminal import print_note

LOCK_FILE: Final = "lock"
"""Held by the daemon as long as it lives; its process id is in it."""


def add_reload_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "reload",
        help="apply a changed configuration to the running daemon",
        description="Check the configuration, and have the running daemon apply it without a gap in service (the same "
        "as SIGHUP). A faulty one changes nothing.",
    )
    parser.set_defaults(run=reload_daemon)


def reload_daemon(arguments: argparse.Namespace) -> int:
    """Send SIGHUP to the process that holds the state directory, once the files are known to be right."""
    path, config = load_settings(arguments)
    for warning in config.warnings:
        print_note(warning)
    state = state_directory(arguments, config)
    process = running_process(state)
    if process is None:
        message = f"no daemon runs on {state}"
        fix = "start it with `busyd run`, or `systemctl start busyd`"
        raise CommandFailed(message, fix=fix, status=ExitStatus.REMOTE_UNAVAILABLE)
    try:
        os.kill(process, signal.SIGHUP)
    except (ProcessLookupError, PermissionError):
        message = f"process {process} may not be told by this user"
        raise CommandFailed(message, fix="run this as the user busyd runs as") from None
    print(f"{path}: ok, process {process} reads it now")
    return ExitStatus.OK


def running_process(state: Path) -> int | None:
    """The process that holds the state directory, or None when nobody does. Raises CommandFailed."""
    try:
        with (state / LOCK_FILE).open() as lock:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            text = lock.read().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"cannot look into {state}: {(error.strerror or 'refused').lower()}"
        raise CommandFailed(message, fix="run this as the user busyd runs as") from None
    return int(text) if text.isdigit() and int(text) > 1 else None
