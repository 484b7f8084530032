"""Moving the stores of an installation to the database that its configuration names, and back."""

from collections.abc import Mapping
from pathlib import Path

from busyd.config import StoreConfig
from busyd.credentials.key import StoreKey
from busyd.ownership import as_owner_of, make_state_directory
from busyd.period import Instant
from busyd.service.secrets import kept_in_the_file
from busyd.service.state_dir import locked
from busyd.service.storage import database_of, import_postgresql
from busyd.store.moving import Moved, move
from busyd.store.sqlite.moving import StateDirectory
from busyd.store.table_copy import Tell


def move_stores(
    config: StoreConfig,
    state: Path,
    *,
    out: bool,
    replace: bool,
    environment: Mapping[str, str],
    now: Instant,
    tell: Tell,
) -> Moved:
    """Move them `out` of the state directory, or back into it. The key of passwords stays where it is.

    Raises StateInUse while a process works on the directory, CredentialStoreUnreadable where passwords do not open with
    the key, and as `move` and `database_of`.
    """
    import_postgresql()
    from busyd.store.postgresql.moving import StoreDatabase

    with as_owner_of(state):
        server = database_of(config, state, environment=environment)
        make_state_directory(state)
        with locked(state):
            key = StoreKey(state, environment)
            files = StateDirectory(state, key=key, kept=kept_in_the_file(config))
            database = StoreDatabase(server, key=key)
            source, target = (files, database) if out else (database, files)
            return move(source, target, replace=replace, now=now, tell=tell)
