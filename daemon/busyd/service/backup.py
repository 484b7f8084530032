"""Backup and restore: everything that cannot be read again, as one file, whichever engine keeps it.

That is the ledger: tokens, appointments, holds and blocks with the secret their names are made from, what was accepted,
resolved and measured. And the encrypted passwords; their key only when asked for. Not the mirror, which is read again,
nor the log of changes: what was told does not become untold, and its numbers must not come again. It goes on with a
`reset`.
"""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

import busyd
from busyd.advice.errors import describe_error
from busyd.credentials.files import KEY_FILE, STORE_FILE, CredentialMissing
from busyd.credentials.key import StoreKey, read_key
from busyd.credentials.records import Changes, SealedFile
from busyd.credentials.sealed_secrets import SealedSecrets
from busyd.credentials.store import CredentialStore, CredentialStoreUnreadable
from busyd.flow.following import FOLLOWED_FOR
from busyd.os_errors import fault_of
from busyd.ownership import as_owner_of, make_state_directory
from busyd.period import Instant, to_rfc3339
from busyd.regular_file import read_regular_file
from busyd.service.archive import MEMBERS, Archive, pack, sync_names
from busyd.service.state_dir import locked
from busyd.store.backup import BackupUnusable, finish_interrupted, renew_ledger
from busyd.store.errors import StorageDamaged
from busyd.store.ledger import LEDGER_FILE
from busyd.store.storage import SqliteStorage, Storage

_STAGING: Final = "restore.new"
_ASIDE: Final = "before-restore-"


class MadeBackup(Struct, frozen=True):
    """A backup, and what is in it."""

    content: bytes
    bookings: int
    tokens: int
    webhooks: int
    has_passwords: bool
    has_key: bool
    damaged: Sequence[str]
    """A sentence for each stored password that is damaged, and so not in it."""


class Restored(Struct, frozen=True):
    """What a restore has put in place."""

    rows: int
    """How many appointments and blocks the daemon will look at once."""
    passwords: bool | None
    """Whether those of the backup are in place; None when it has none."""
    is_readable: bool
    """Whether they can be decrypted with the key that is here."""
    aside: Path | None
    """Where the files that were replaced are kept."""
    schema: str
    """What the ledger of a database that was replaced is called now; empty where there was none."""
    secrets_schema: str
    """The same of its passwords; empty, too, where those stay."""


def make_backup(
    storage: Storage, state: Path, *, credentials: CredentialStore, with_key: bool, now: Instant
) -> MadeBackup:
    """Copy the ledger and the passwords, whether daemons work on them or not.

    Raises BackupUnusable, StorageError, and as `fault_of`; CredentialStoreUnreadable where the passwords are in a
    database and do not open with the key of this machine.
    """
    with as_owner_of(state), _disk_errors(f"cannot read the state directory {state}"):
        ledger = storage.copy_ledger()
        passwords = credentials.bundle()
        files = {STORE_FILE: passwords} if passwords is not None else {}
        damaged = credentials.open_all().damaged.values() if credentials.is_shared else ()
        if with_key and files:
            if not (state / KEY_FILE).exists():
                message = "the key of the stored passwords is not in the state directory"
                raise BackupUnusable(
                    message, fix="keep a copy of the file it comes from (BUSYD_KEY_FILE, or a systemd credential)"
                )
            files[KEY_FILE] = read_regular_file(state / KEY_FILE)
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
        webhooks=ledger.webhooks,
        has_passwords=STORE_FILE in files,
        has_key=KEY_FILE in files,
        damaged=[describe_error(error) for error in damaged],
    )


def restore_backup(
    archive: Archive,
    state: Path,
    *,
    storage: Storage,
    kept: Collection[str],
    environment: Mapping[str, str],
    now: Instant,
) -> Restored:
    """Put a backup in place of what there is. What it replaces is kept beside it.

    `kept` are the passwords that are never in a database. Until everything has been written and looked over, nothing is
    replaced. Raises StateInUse while a process works on the directory, TryAgain while a daemon works on the database,
    BackupUnusable, StorageError, and as `fault_of`; CredentialStoreUnreadable where the passwords in the database do
    not open with the key.
    """
    with as_owner_of(state), _disk_errors(f"cannot restore into {state}"):
        make_state_directory(state)
        with locked(state), _staging(state) as staging:
            for name in archive.manifest.files:
                archive.extract(name, staging / name)
            renewed = renew_ledger(staging / LEDGER_FILE, now=now, since=Instant(now - FOLLOWED_FOR))
            if isinstance(storage, SqliteStorage):
                passwords, is_readable = _choose_passwords(staging, state, environment=environment)
                with closing(storage.open_change_log(now=now)) as log:
                    log.reset_now(renewed.profiles, now=now)
                aside = _put_in_place(staging, state, names=MEMBERS, now=now)
                return Restored(renewed.rows, passwords, is_readable, aside, schema="", secrets_schema="")
            database = DatabaseRestore(staging, state, storage=storage, kept=kept)
            database.choose_passwords(environment)
            database.put_in_place(now)
    return database.restored(renewed.rows)


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


class DatabaseRestore:
    """What is staged, to be put in place of what a database has: all in one transaction."""

    def __init__(self, staging: Path, state: Path, *, storage: Storage, kept: Collection[str]) -> None:
        from busyd.store.postgresql.secrets import SealedTable
        from busyd.store.postgresql.storage import PostgresStorage

        assert isinstance(storage, PostgresStorage)
        self._staging = staging
        self._state = state
        self._storage = storage
        self._kept = frozenset(kept)
        self._table = SealedTable(storage.server)
        self._records: Changes = {}
        self._is_readable = True
        self._schema = self._secrets_schema = ""
        self._aside: Path | None = None

    def choose_passwords(self, environment: Mapping[str, str]) -> None:
        """Take those of the backup that can be opened here, sealed with the key of this machine.

        The key in the backup becomes that where there is none. Raises CredentialStoreUnreadable where there are
        passwords in the database that do not open with it: other machines have their key.
        """
        file, brought = SealedFile.of(self._staging), self._staging / KEY_FILE
        if not file.path.exists():
            brought.unlink(missing_ok=True)
            return
        own, also = StoreKey(self._state, environment), read_key(brought) if brought.exists() else b""
        key = StoreKey(self._staging, {}) if own.is_missing and also else own
        SealedSecrets(self._table, key).open()
        try:
            texts = SealedSecrets(file, key).open(also=also).texts
        except CredentialStoreUnreadable:
            self._is_readable = False
        else:
            moved = {name: text for name, text in texts.items() if name not in self._kept}
            self._records = SealedSecrets(self._table, key).seal_all(moved)
        if key is own:
            brought.unlink(missing_ok=True)

    def put_in_place(self, now: Instant) -> None:
        """Replace the ledger, and the passwords where others were chosen."""
        from busyd.store.postgresql.restoring import replace_secrets
        from busyd.store.postgresql.session import PostgresSession

        def replace_passwords(db: PostgresSession) -> None:
            if self._records:
                self._secrets_schema = replace_secrets(db, self._records, now=now, where=self._storage.name)
            self._aside = _put_in_place(self._staging, self._state, names=(KEY_FILE,), now=now)

        self._schema = self._storage.replace_ledger(self._staging / LEDGER_FILE, now=now, last=replace_passwords)

    def restored(self, rows: int) -> Restored:
        passwords = bool(self._records) if self._records or not self._is_readable else None
        return Restored(rows, passwords, self._is_readable, self._aside, self._schema, self._secrets_schema)


def _put_in_place(staging: Path, state: Path, *, names: Sequence[str], now: Instant) -> Path | None:
    """Replace file by file: each name is there all the time. Returns where the old ones are."""
    journal = state / f"{LEDGER_FILE}-journal"
    if journal.exists():
        with suppress(StorageDamaged):  # then it stays with the damaged file
            finish_interrupted(state / LEDGER_FILE)
    replaced = [name for name in names if (staging / name).exists() and (state / name).exists()]
    aside = None
    if replaced or journal.exists():
        aside = _new_folder(state, to_rfc3339(now).replace("-", "").replace(":", ""))
        for name in replaced:
            _keep(state / name, aside / name)
        if journal.exists():
            journal.replace(aside / journal.name)  # never applied to another ledger
        sync_names(aside)
    for name in names:
        if (staging / name).exists():
            (staging / name).replace(state / name)
    sync_names(state)
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
