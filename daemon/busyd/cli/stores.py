"""The stores of an installation, as commands open them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation
from busyd.config import StoreConfig
from busyd.config.load import names_store
from busyd.credentials import FromCredential, PasswordSource, Secret, read_password
from busyd.credentials.store import CredentialStore
from busyd.errors import UserError
from busyd.ownership import as_owner_of
from busyd.service import secrets as places
from busyd.service.storage import import_postgresql, storage_of
from busyd.store.ledger import Ledger
from busyd.store.storage import Storage


def stores_of(installation: Installation) -> Storage:
    """Where the stores are. Nothing is opened.

    A configuration with faults matters only where it names a store. Raises ConfigFaults then, CredentialMissing without
    the password of the database, Misconfigured without the library for it.
    """
    named = _named_store(installation)
    with installation.as_its_user():
        return storage_of(named, installation.state, environment=installation.environment)


@lru_cache(maxsize=1)
def credentials_of(installation: Installation) -> CredentialStore:
    """Where stored passwords are. Nothing is opened; those of a database are read once. Raises as `stores_of`."""
    named = _named_store(installation)
    with installation.as_its_user():
        return places.credentials_of(named, installation.state, environment=installation.environment)


def read_configured(source: PasswordSource, installation: Installation) -> Secret:
    """The password of a connection. Raises as `stores_of`, CredentialMissing, StorageError."""
    store = credentials_of(installation) if isinstance(source, FromCredential) else None
    return read_password(source, installation.state, environment=installation.environment, store=store)


def _named_store(installation: Installation) -> StoreConfig | None:
    """The database that is configured, for which all is imported that it needs."""
    path = installation.path
    try:
        config = installation.config if path is not None else None
    except UserError:
        if path is not None and names_store(path, installation.environment):
            raise
        config = None
    named = config.store if config is not None else None
    if named is not None:
        import_postgresql()
    return named


def require_stopped(installation: Installation, refused: str) -> None:
    """Raises CommandFailed while a process works on the state; `refused` says what was not done for that."""
    if (holder := installation.holder) is not None:
        message = f"busyd runs on {installation.state}{f' (process {holder})' if holder else ''}, so {refused}"
        fix = (
            "run `systemctl stop busyd` first" if installation.is_service else "stop it first, or pass another --state"
        )
        raise CommandFailed(message, fix=fix, status=ExitStatus.TRY_AGAIN)


@contextmanager
def ledger_of(installation: Installation) -> Iterator[Ledger]:
    """The ledger: root works on it as the owner of the state directory. Raises as `stores_of`, and StorageError."""
    storage = stores_of(installation)
    with as_owner_of(installation.state), closing(storage.open_ledger()) as ledger:
        yield ledger


@contextmanager
def kept_ledger(installation: Installation) -> Iterator[Ledger | None]:
    """The same for commands that add nothing: None where there is none yet; none is made."""
    storage = stores_of(installation)
    with as_owner_of(installation.state):
        is_directory = installation.state.is_dir() or not installation.state.exists()
        if is_directory and not storage.has_ledger:
            storage.require_ledger_in_place()
            yield None
            return
        with closing(storage.open_ledger()) as ledger:
            yield ledger
