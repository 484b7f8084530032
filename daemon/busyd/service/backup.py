"""Backup and restore: everything in the state directory that cannot be read again, as one file.

That is the ledger: tokens, appointments, holds and blocks with the secret their names are made from, what was accepted,
resolved and measured. And the encrypted passwords; their key only when asked for. Not the mirror, which is read again,
nor the log of changes: what was told does not become untold, and its numbers must not come again.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

import busyd
from busyd.credentials.files import KEY_FILE, STORE_FILE, CredentialMissing
from busyd.credentials.store import CredentialStore
from busyd.flow.following import FOLLOWED_FOR
from busyd.os_errors import fault_of
from busyd.ownership import as_owner_of, make_state_directory
from busyd.period import Instant, to_rfc3339
from busyd.regular_file import read_regular_file
from busyd.service.archive import MEMBERS, Archive, pack, sync_folder
from busyd.service.state_dir import locked
from busyd.store.backup import BackupUnusable, copy_ledger, finish_interrupted, renew_ledger
from busyd.store.change_log import CHANGES_FILE, begin_after
from busyd.store.errors import StorageDamaged
from busyd.store.ledger import LEDGER_FILE

_STAGING: Final = "restore.new"
_ASIDE: Final = "before-restore-"


class MadeBackup(Struct, frozen=True):
    """A backup, and what is in it."""

    content: bytes
    bookings: int
    tokens: int
    has_passwords: bool
    has_key: bool


class Restored(Struct, frozen=True):
    """What a restore has put in place."""

    rows: int
    """How many appointments and blocks the daemon will look at once."""
    passwords: bool | None
    """Whether those of the backup are in place; None when it has none."""
    is_readable: bool
    """Whether they can be decrypted with the key that is here."""
    aside: Path | None
    """Where what was replaced is kept."""


def make_backup(state: Path, *, with_key: bool, now: Instant) -> MadeBackup:
    """Copy the state, whether a daemon works on it or not. Raises BackupUnusable, StorageError, and as `fault_of`."""
    with as_owner_of(state), _disk_errors(f"cannot read the state directory {state}"):
        if not (state / LEDGER_FILE).exists():
            message = f"there is nothing to back up: {state} has no {LEDGER_FILE}"
            raise BackupUnusable(message, fix="pass --state with the directory that busyd uses")
        files = {}
        if (state / STORE_FILE).exists():
            files[STORE_FILE] = read_regular_file(state / STORE_FILE)
        if with_key and files:
            if not (state / KEY_FILE).exists():
                message = "the key of the stored passwords is not in the state directory"
                raise BackupUnusable(
                    message, fix="keep a copy of the file it comes from (BUSYD_KEY_FILE, or a systemd credential)"
                )
            files[KEY_FILE] = read_regular_file(state / KEY_FILE)
        ledger = copy_ledger(state / LEDGER_FILE)
    content = pack(
        {LEDGER_FILE: ledger.content, **files},
        version=busyd.__version__,
        made=to_rfc3339(now),
        schema=ledger.schema,
    )
    return MadeBackup(
        content,
        bookings=ledger.bookings,
        tokens=ledger.tokens,
        has_passwords=STORE_FILE in files,
        has_key=KEY_FILE in files,
    )


def restore_backup(archive: Archive, state: Path, *, environment: Mapping[str, str], now: Instant) -> Restored:
    """Put a backup in place of what the state directory has. What it replaces is kept beside it.

    Until everything has been written and looked over, nothing is replaced. Raises StateInUse while a process works on
    the directory, BackupUnusable, StorageError, and as `fault_of`.
    """
    with as_owner_of(state), _disk_errors(f"cannot restore into {state}"):
        make_state_directory(state)
        with locked(state), _staging(state) as staging:
            for name in archive.manifest.files:
                archive.extract(name, staging / name)
            rows = renew_ledger(staging / LEDGER_FILE, now=now, since=Instant(now - FOLLOWED_FOR))
            passwords, is_readable = _choose_passwords(staging, state, environment=environment)
            if not (state / CHANGES_FILE).exists():
                begin_after(state / CHANGES_FILE, now=now)
            aside = _put_in_place(staging, state, now=now)
    return Restored(rows, passwords, is_readable, aside)


@contextmanager
def _staging(state: Path) -> Iterator[Path]:
    """A directory for what is to be put in place; nothing of it stays."""
    staging = state / _STAGING
    if staging.exists():
        shutil.rmtree(staging)  # left by one that was killed
    staging.mkdir(mode=0o700)
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _choose_passwords(staging: Path, state: Path, *, environment: Mapping[str, str]) -> tuple[bool | None, bool]:
    """Take passwords of the backup that cannot be decrypted here only where there are no others; `Restored` has it."""
    store, key = staging / STORE_FILE, staging / KEY_FILE
    if not store.exists():
        return None, True
    has_key = key.exists()
    if not has_key and (state / KEY_FILE).exists():
        shutil.copyfile(state / KEY_FILE, key)
    try:
        CredentialStore(staging, environment).names()
        is_readable = True
    except CredentialMissing:
        is_readable = False
    is_taken = is_readable or not (state / STORE_FILE).exists()
    if not is_taken:
        store.unlink()
    if not (is_taken and has_key):
        key.unlink(missing_ok=True)
    return is_taken, is_readable


def _put_in_place(staging: Path, state: Path, *, now: Instant) -> Path | None:
    """Replace file by file: each name is there all the time. Returns where the old ones are."""
    journal = state / f"{LEDGER_FILE}-journal"
    if journal.exists():
        with suppress(StorageDamaged):  # then it stays with the damaged file
            finish_interrupted(state / LEDGER_FILE)
    replaced = [name for name in MEMBERS if (staging / name).exists() and (state / name).exists()]
    aside = None
    if replaced or journal.exists():
        aside = _new_folder(state, to_rfc3339(now).replace("-", "").replace(":", ""))
        for name in replaced:
            _keep(state / name, aside / name)
        if journal.exists():
            journal.replace(aside / journal.name)  # never applied to another ledger
        sync_folder(aside)
    for name in MEMBERS:
        if (staging / name).exists():
            (staging / name).replace(state / name)
    sync_folder(state)
    return aside


def _new_folder(state: Path, time: str) -> Path:
    number = 1
    while True:
        folder = state / f"{_ASIDE}{time}{f'-{number}' if number > 1 else ''}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder


def _keep(old: Path, kept: Path) -> None:
    try:
        os.link(old, kept)
    except OSError:  # not every file system has links
        shutil.copy2(old, kept)


@contextmanager
def _disk_errors(message: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise fault_of(error, message) from None
