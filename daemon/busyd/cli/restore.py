"""`busyd restore`: puts a backup in place, in files or in a database, while no daemon runs."""

import argparse
from pathlib import Path

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import find_installation
from busyd.cli.stores import credentials_of, require_stopped, stores_of
from busyd.cli.terminal import print_note, printable
from busyd.clock import SystemClock
from busyd.service.archive import open_archive
from busyd.service.backup import restore_backup


def add_restore_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "restore",
        help="put a backup in place, while no daemon runs",
        description="Put a file of `busyd backup` in place of what is stored, in the state directory or in the "
        "database that `store:` names, whichever it was made of. All of it is checked first, and what it replaces is "
        "kept beside it. The next start looks at each appointment once; nothing is created, moved or deleted by "
        "itself.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="a file that `busyd backup` wrote")
    parser.set_defaults(run=restore)


def restore(arguments: argparse.Namespace) -> int:
    """Check, put in place, and say what comes next."""
    installation = find_installation(arguments)
    installation.require_access()
    state = installation.state
    require_stopped(installation, "nothing was restored")
    storage = stores_of(installation)
    with open_archive(arguments.file) as archive:
        made = archive.manifest
        done = restore_backup(
            archive,
            state,
            storage=storage,
            kept=credentials_of(installation).kept,
            environment=installation.environment,
            now=SystemClock().now(),
        )
    print(f"{storage.name}: restored from the backup of {printable(made.made)} (busyd {printable(made.busyd)})")
    if done.aside is not None:
        print(f"what it replaced is kept in {done.aside}")
    if done.schema:
        print(f"the ledger that it replaced is kept as the schema {done.schema}")
    if done.secrets_schema:
        print(f"the passwords that it replaced are kept as the schema {done.secrets_schema}")
    if done.passwords is False:
        print_note(
            "the passwords of the backup cannot be decrypted with the key that is here: those that were stay; to have "
            "them, put their key in place, and restore again"
        )
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
