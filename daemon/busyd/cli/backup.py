"""`busyd backup`: everything that cannot be read again, as one file, also while the daemon runs."""

import argparse
import os
from pathlib import Path

from busyd.cli.doctor_report import count
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import find_installation
from busyd.cli.stores import credentials_of, stores_of
from busyd.cli.terminal import print_note
from busyd.clock import SystemClock
from busyd.service.archive import exists_already, write_new
from busyd.service.backup import make_backup


def add_backup_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "backup",
        help="write everything that cannot be read again to one file",
        description="Write appointments, blocks, tokens (as hashes), webhooks and stored passwords (encrypted) to one "
        "new file of mode 0600, whether daemons run or not. Calendars are not in it, as they are read again, nor is "
        "the configuration, which is a file of yours. An existing file is never replaced.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the file to write, such as busyd-2026-12-01.zip")
    parser.add_argument(
        "--with-key",
        action="store_true",
        help="include the key of the stored passwords: whoever has the file then has the passwords",
    )
    parser.set_defaults(run=back_up)


def back_up(arguments: argparse.Namespace) -> int:
    """Copy, pack, write."""
    installation, path = find_installation(arguments), arguments.file
    installation.require_access()
    storage = stores_of(installation)
    if os.path.lexists(path):
        raise exists_already(path)
    made = make_backup(
        storage,
        installation.state,
        credentials=credentials_of(installation),
        with_key=arguments.with_key,
        now=SystemClock().now(),
    )
    write_new(path, made.content)
    passwords = ", stored passwords" if made.has_passwords else ""
    print(
        f"{path}: {made.bookings} appointments, holds and blocks, {count(made.tokens, 'token')}, "
        f"{count(made.webhooks, 'webhook')}"
        f"{passwords}, of {storage.name}"
    )
    if made.has_key:
        print_note("the key of the passwords is in it: whoever has the file has the passwords")
    elif made.has_passwords:
        print_note("the key of the passwords is not in it: keep a copy of it elsewhere, or use --with-key")
    for sentence in made.damaged:
        print_note(f"warning: not in it: {sentence}")
    print_note("the configuration is not in it: keep a copy of that too")
    return ExitStatus.OK
