"""Where the stored passwords of an installation are."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from busyd.config import StoreConfig
from busyd.credentials import FromCredential
from busyd.credentials.files import STORE_FILE
from busyd.credentials.key import StoreKey
from busyd.credentials.store import CredentialStore
from busyd.service.storage import database_of
from busyd.store.sqlite.forms import require_not_moved

if TYPE_CHECKING:
    from busyd.service.session import DaemonSession


def credentials_of(config: StoreConfig | None, state: Path, *, environment: Mapping[str, str]) -> CredentialStore:
    """The passwords as commands read and change them; nothing is opened, and no server is asked.

    Raises CredentialMissing without the password of the database, Misconfigured without the library for it.
    """
    if config is None:
        path = state / STORE_FILE
        return CredentialStore(state, environment, require_in_place=lambda: require_not_moved(path))
    database = database_of(config, state, environment=environment)
    from busyd.store.postgresql.secrets import SealedTable

    return CredentialStore(state, environment, shared=SealedTable(database), kept=kept_in_the_file(config))


def followed_credentials(
    config: StoreConfig, state: Path, *, session: "DaemonSession", environment: Mapping[str, str]
) -> CredentialStore:
    """The passwords of a database as a daemon has them, which takes up what is changed on any machine.

    Blocks. Raises StorageError; CredentialStoreUnreadable where the key of this machine is not theirs.
    """
    secrets = session.follow_secrets(StoreKey(state, environment))
    return CredentialStore(state, environment, shared=secrets, kept=kept_in_the_file(config))


def kept_in_the_file(config: StoreConfig) -> frozenset[str]:
    """What stays in the state directory of each machine: the password of the database itself."""
    return frozenset({config.password.name} if isinstance(config.password, FromCredential) else ())
