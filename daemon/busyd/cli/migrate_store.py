"""`busyd migrate-store`: moves what is stored from the state directory to a PostgreSQL database, or back."""

import argparse
import sys
from functools import partial
from typing import Final

from msgspec.structs import asdict

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.progress import PlainProgress
from busyd.cli.stores import require_stopped
from busyd.cli.terminal import print_json, print_note, printable
from busyd.clock import SystemClock
from busyd.config import StoreConfig
from busyd.service.store_moves import move_stores
from busyd.store.moving import Moved
from busyd.store.table_copy import CopyProgress

_MANY: Final = 10_000
"""Rows."""


def add_migrate_store_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "migrate-store",
        help="move what is stored to a PostgreSQL database, or back",
        description="Move calendars, appointments, blocks, tokens (as hashes), webhooks, passwords (encrypted) and the "
        "log of changes from the state directory to the database that `store:` in the configuration names, or back, "
        "while no daemon runs. What has arrived is compared with what was sent; then what was moved is set aside where "
        "it was, under another name. A move that was interrupted is finished by the same command. The key of the "
        "passwords is never moved, nor is the password of the database itself.",
    )
    parser.add_argument(
        "target",
        choices=("postgresql", "sqlite"),
        help="postgresql: to the database that `store:` names; sqlite: from there to the state directory",
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="set aside what is already at the target, under another name, instead of refusing",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=migrate_store)


def migrate_store(arguments: argparse.Namespace) -> int:
    """Move, and say what comes next."""
    installation = find_installation(arguments)
    installation.require_access()
    require_stopped(installation, "nothing was moved")
    config, is_out = _configured(installation), arguments.target == "postgresql"
    moved = move_stores(
        config,
        installation.state,
        out=is_out,
        replace=arguments.replace,
        environment=installation.environment,
        now=SystemClock().now(),
        tell=partial(_show, PlainProgress(sys.stderr)),
    )
    if arguments.json:
        print_json(asdict(moved))
        return ExitStatus.OK
    print(f"moved from {printable(moved.source)} to {printable(moved.target)}: {_describe(moved)}")
    print(f"what was moved is kept as {printable(', '.join(moved.aside))}")
    if moved.replaced:
        print(f"what it replaced is kept as {printable(', '.join(moved.replaced))}")
    before = "" if is_out else "take `store:` out of the configuration; then "
    print_note(f"{before}{installation.how_to_start}")
    print_note("what is kept still has the titles of events, and passwords: delete it once all is well")
    return ExitStatus.OK


def _show(display: PlainProgress, step: CopyProgress) -> None:
    """Only of what takes its time."""
    if step.total >= _MANY:
        display.show({"calendar": step.table, "phase": "copied", "done": step.done, "total": step.total})


def _configured(installation: Installation) -> StoreConfig:
    """Where the database is, also when the stores are to leave it."""
    if (config := installation.config.store) is None:
        message = f"{installation.config_path} has no `store:`, which says where the database is"
        fix = "add store: postgresql://USER@HOST/DATABASE; it stays until the move is over, in either direction"
        raise CommandFailed(message, fix=fix, status=ExitStatus.CONFIG)
    return config


def _describe(moved: Moved) -> str:
    ledger, mirror, secrets = (moved.rows.get(store, {}) for store in ("ledger", "mirror", "secrets"))
    return (
        f"{ledger.get('booking', 0)} appointments, holds and blocks, {ledger.get('token', 0)} tokens, "
        f"{ledger.get('webhook', 0)} webhooks, {secrets.get('secret', 0)} passwords, "
        f"{mirror.get('object', 0)} events of {mirror.get('calendar', 0)} calendars"
    )
