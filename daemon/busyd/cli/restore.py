"""`busyd restore`: puts a backup in place, while no daemon runs."""

import argparse
from pathlib import Path

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import find_installation
from busyd.cli.terminal import print_note, printable
from busyd.clock import SystemClock
from busyd.service.archive import open_archive
from busyd.service.backup import restore_backup


def add_restore_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "restore",
        help="put a backup in place, while no daemon runs",
        description="Put a file of `busyd backup` in place of the state. All of it is checked first, and "
        "what it replaces is kept beside it. The next start looks at each appointment once; nothing is created, moved "
        "or deleted by itself.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a file that `busyd backup` wrote")
    parser.set_defaults(run=restore)


def restore(arguments: argparse.Namespace) -> int:
    """Check, put in place, and say what comes next."""
    installation = find_installation(arguments)
    installation.require_access()
    state = installation.state
    if (holder := installation.holder) is not None:
        message = f"busyd runs on {state}{f' (process {holder})' if holder else ''}, so nothing was restored"
        fix = (
            "run `systemctl stop busyd` first" if installation.is_service else "stop it first, or pass another --state"
        )
        raise CommandFailed(message, fix=fix, status=ExitStatus.TRY_AGAIN)
    with open_archive(arguments.file) as archive:
        made = archive.manifest
        done = restore_backup(archive, state, environment=installation.environment, now=SystemClock().now())
    print(f"{state}: restored from the backup of {printable(made.made)} (busyd {printable(made.busyd)})")
    if done.aside is not None:
        print(f"what it replaced is kept in {done.aside}")
    if done.passwords is False:
        print_note("the passwords of the backup cannot be decrypted with the key that is here: those that were stay")
    elif not done.is_readable:
        print_note(
            "the passwords of the backup cannot be decrypted without their key: put it in place, or store each again "
            "with `busyd credential set NAME`"
        )
    print_note("tokens that were revoked since then are valid again: `busyd token list` shows them all")
    print_note(
        f"{installation.how_to_start}; it looks at {done.rows} appointments and blocks once each, and creates, moves "
        "and deletes nothing by itself: its log and `busyd appointments PROFILE` tell what it found"
    )
    return ExitStatus.OK
