"""The files of a state directory as a place that stores are moved to and from: see `store/moving.py`."""

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

from msgspec import Struct

from busyd.credentials.files import STORE_FILE
from busyd.credentials.key import StoreKey, write_durably
from busyd.credentials.records import BUNDLE, SealedFile
from busyd.credentials.sealed_secrets import SealedSecrets
from busyd.durable_file import sync_folder
from busyd.store.change_log import CHANGES_FILE
from busyd.store.errors import StorageDamaged, StorageUnusable
from busyd.store.ledger import LEDGER_FILE
from busyd.store.mirror import MIRROR_FILE
from busyd.store.moving import LEDGER, SECRETS, STORES, Form
from busyd.store.secret_tables import SecretTables
from busyd.store.sqlite.change_log_schema import CHANGE_LOG_MIGRATIONS
from busyd.store.sqlite.connection import Migration, check, migrate, open_connection, storage_errors, transaction
from busyd.store.sqlite.database import suspect_of
from busyd.store.sqlite.forms import aside_as, moving, set_aside_as
from busyd.store.sqlite.ledger_schema import LEDGER_MIGRATIONS
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.sqlite.seal import break_seal, digest_of
from busyd.store.sqlite.tables import SqliteTables
from busyd.store.table_copy import StoreTables

T = TypeVar("T")

_LOGS: Final = ("-wal", "-shm", "-journal")
_NOTES: Final = (".seal", ".suspect")


class _StoredFile(Struct, frozen=True):
    name: str
    migrations: Sequence[Migration]
    journal: str


_FILES: Final[Mapping[str, _StoredFile]] = {
    "mirror": _StoredFile(MIRROR_FILE, MIRROR_MIGRATIONS, "WAL"),
    "changes": _StoredFile(CHANGES_FILE, CHANGE_LOG_MIGRATIONS, "WAL"),
    LEDGER: _StoredFile(LEDGER_FILE, LEDGER_MIGRATIONS, "DELETE"),
    SECRETS: _StoredFile(STORE_FILE, (), ""),
}
_LEDGER_FIRST: Final = tuple(sorted(STORES, key=lambda store: store != LEDGER))


class StateDirectory:
    """A `StorePlace`. No daemon works on it meanwhile: whoever moves holds its lock."""

    def __init__(self, state: Path, *, key: StoreKey | None = None, kept: Collection[str] = ()) -> None:
        """`key` is that of the stored passwords, of which those named in `kept` are never moved."""
        self._state = state
        self._key = key or StoreKey(state, {})
        self._kept = frozenset(kept)
        self.name = f"the state directory {state}"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Commands write the ledger and passwords without that lock."""
        with contextlib.ExitStack() as stack:
            if (path := self._live(SECRETS)).exists():
                stack.enter_context(SealedFile(path).locked())
            if (path := self._live(LEDGER)).exists():
                ledger = open_connection(path, journal="DELETE", synchronous="FULL")
                stack.enter_context(contextlib.closing(ledger))
                with storage_errors(path):
                    ledger.execute("BEGIN IMMEDIATE")
            yield

    def has(self, store: str, form: Form) -> bool:
        path = self._path(store, form)
        is_there = path is not None and path.exists()
        return is_there and (store != SECRETS or form is not Form.LIVE or bool(self._secrets(self._live(SECRETS))))

    def has_stamp(self, stamp: str) -> bool:
        forms = (Form.MOVED, Form.REPLACED)
        return any(aside_as(self._live(store), form, stamp=stamp).exists() for store in STORES for form in forms)

    def read(self, store: str, form: Form, *, work: Callable[[StoreTables], T]) -> T:
        path, file = self._path(store, form), _FILES[store]
        assert path is not None
        if store == SECRETS:
            return work(SecretTables(str(path), self._secrets(path)))
        _look_over(path)
        with (
            contextlib.closing(open_connection(path, journal=file.journal, synchronous="FULL")) as connection,
            storage_errors(path),
        ):
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version != (newest := len(file.migrations)):
                raise _other_schema(path, version=version, newest=newest)
            check(connection, path)
            if file.journal == "WAL":  # else a part of it could stay behind
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.execute("BEGIN")
            return work(SqliteTables(connection, str(path)))

    def fill(self, store: str, *, work: Callable[[StoreTables], T]) -> T:
        path = moving(self._live(store))
        if store == SECRETS:
            return self._fill_secrets(path, work)
        with contextlib.closing(open_connection(path, journal="DELETE", synchronous="FULL")) as connection:
            migrate(connection, path, migrations=_FILES[store].migrations)
            with storage_errors(path), transaction(connection):
                tables = SqliteTables(connection, str(self._live(store)))
                tables.begin_filling()
                result = work(tables)
                tables.end_filling()
                return result

    def forget_moving(self) -> None:
        for store in STORES:
            path = moving(self._live(store))
            with storage_errors(path):
                for suffix in ("", *_LOGS):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)

    def set_aside(self, form: Form, stamp: str) -> list[str]:
        names = []
        for store in _LEDGER_FIRST:
            live = self._live(store)
            if self.has(store, Form.LIVE):
                aside = aside_as(live, form, stamp=stamp)
                with storage_errors(live):
                    if store == SECRETS and self._secrets(live, is_kept=True):
                        self._keep_some_secrets(live, aside)
                    else:
                        live.replace(aside)
                    for suffix in _LOGS:  # of one that was not closed in order
                        with contextlib.suppress(FileNotFoundError):
                            live.with_name(live.name + suffix).replace(aside.with_name(aside.name + suffix))
                    sync_folder(self._state)
                names.append(aside.name)
        return names

    def _keep_some_secrets(self, live: Path, aside: Path) -> None:
        """Have a copy of all of them first: whatever ends this, the password of the database can be read."""
        write_durably(aside, live.read_bytes())
        write_durably(live, self._sealed(self._secrets(live, is_kept=True)))

    def take_over(self) -> None:
        for store in reversed(_LEDGER_FIRST):
            live = self._live(store)
            if moving(live).exists():
                with storage_errors(live):
                    for suffix in (*_LOGS, *_NOTES):  # never those of another file
                        live.with_name(live.name + suffix).unlink(missing_ok=True)
                    moving(live).replace(live)
                    sync_folder(self._state)

    def _secrets(self, path: Path, *, is_kept: bool = False) -> Mapping[str, str]:
        """Those that are moved, or those that never are. Raises CredentialStoreUnreadable."""
        texts = SealedSecrets(SealedFile(path), self._key).open().texts
        return {name: text for name, text in texts.items() if (name in self._kept) is is_kept}

    def _fill_secrets(self, path: Path, work: Callable[[StoreTables], T]) -> T:
        live = self._live(SECRETS)
        tables = SecretTables(str(live), {})
        result = work(tables)
        with storage_errors(path):
            write_durably(path, self._sealed({**self._secrets(live, is_kept=True), **tables.texts}))
        return result

    def _sealed(self, texts: Mapping[str, str]) -> bytes:
        content = SealedSecrets(SealedFile(self._live(SECRETS)), self._key).seal_all(texts)[BUNDLE]
        assert content is not None
        return content

    def _live(self, store: str) -> Path:
        return self._state / _FILES[store].name

    def _path(self, store: str, form: Form) -> Path | None:
        live = self._live(store)
        match form:
            case Form.LIVE:
                return live
            case Form.MOVING:
                return moving(live)
        aside = set_aside_as(live, form)
        return aside[-1] if aside else None


def _look_over(path: Path) -> None:
    """Compare the file with its seal. Raises StorageDamaged, also when it was found damaged before."""
    with storage_errors(path):
        sealed = break_seal(path)
        if sealed is not None and digest_of(path) != sealed:
            suspect_of(path).touch()
    if suspect_of(path).exists():
        message = f"{path} is damaged (it is not as it was closed, or was found damaged while it was used)"
        raise StorageDamaged(message, fix="start busyd where it is, which repairs what it can, or restore a backup")


def _other_schema(path: Path, *, version: int, newest: int) -> StorageUnusable:
    age, fix = (
        ("a newer", "move it with that version")
        if version > newest
        else ("an older", "start this version once where it is, which brings it up to date")
    )
    return StorageUnusable(f"{path} was written by {age} busyd (schema {version}, this one knows {newest})", fix=fix)
