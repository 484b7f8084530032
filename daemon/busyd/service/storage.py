"""Where the stores of a configuration are."""

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from busyd.config import StoreConfig
from busyd.credentials import read_password
from busyd.errors import Misconfigured
from busyd.store.ledger import LEDGER_FILE
from busyd.store.storage import SqliteStorage, Storage

if TYPE_CHECKING:
    from busyd.store.postgresql.server import DatabaseServer

REQUIREMENT: Final = "psycopg[binary]>=3.2"
"""That of the extra `postgresql`."""


def storage_of(config: StoreConfig | None, state: Path, *, environment: Mapping[str, str]) -> Storage:
    """The storage that is configured; nothing is opened, and no server is asked.

    Raises CredentialMissing without the password of the database, Misconfigured without the library for it.
    """
    if config is None:
        return SqliteStorage(state)
    database = database_of(config, state, environment=environment)
    from busyd.store.postgresql.storage import PostgresStorage

    return PostgresStorage(database, beside=state / LEDGER_FILE)


def import_postgresql() -> None:
    """Import what a database needs: it takes its time, and few need it.

    Whoever works as another user does so before: that one may be unable to read root's Python. Raises Misconfigured
    without the library.
    """
    try:
        import_module("busyd.store.postgresql.storage")
    except ImportError as error:
        message = f"`store:` names a PostgreSQL database, and the library for it cannot be used: {error}"
        raise Misconfigured(message, fix=f"install it: {sys.executable} -m pip install '{REQUIREMENT}'") from None


def database_of(config: StoreConfig, state: Path, *, environment: Mapping[str, str]) -> "DatabaseServer":
    """The database that is configured. Raises as `storage_of`."""
    import_postgresql()
    from busyd.store.postgresql.server import DatabaseServer

    password = ""
    if config.password is not None:
        password = read_password(config.password, state, environment=environment).reveal()
    return DatabaseServer(config.url, password)
