"""The stores of a daemon, opened in order, and closed in the reverse one."""

import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from busyd.clock import Clock
from busyd.config import Config
from busyd.credentials.store import CredentialStore
from busyd.service.secrets import credentials_of, followed_credentials
from busyd.service.storage import storage_of
from busyd.store.change_log import ChangeLog
from busyd.store.ledger import Ledger
from busyd.store.ledger_thread import LedgerThread
from busyd.store.storage import SqliteStorage
from busyd.store.store import Store

if TYPE_CHECKING:
    from busyd.service.session import DaemonSession


class OpenStores(Struct, frozen=True):
    """What a daemon works on."""

    mirror: Store
    ledger: Ledger
    ledger_thread: LedgerThread
    changes: ChangeLog
    credentials: CredentialStore
    clock: Clock
    """By which everything is dated that is stored."""
    session: "DaemonSession | None"
    """Of this daemon among others; None where it has the stores to itself."""

    @property
    def look_for_secrets(self) -> Callable[[], Awaitable[None]] | None:
        """Has `credentials` follow what was just stored; None where every reading does."""
        return self.session.look_for_secrets if self.session is not None else None


async def open_stores(
    config: Config,
    state: Path,
    *,
    clock: Clock,
    resources: AsyncExitStack,
    on_late_commit: Callable[[], object],
) -> OpenStores:
    """Open them; `resources` closes them.

    Blocks: nothing is answered before. Raises StorageError, CredentialMissing, Misconfigured.
    """
    storage, session = storage_of(config.store, state, environment=os.environ), None
    storage.on_late_commit = on_late_commit
    if not isinstance(storage, SqliteStorage):
        from busyd.service.session import DaemonSession
        from busyd.store.postgresql.storage import PostgresStorage

        assert isinstance(storage, PostgresStorage)
        address = config.public_url or str(next(iter(config.listen), ""))
        session = DaemonSession(storage, name=f"{socket.gethostname()}:{state}", address=address)
        resources.push_async_callback(session.close)
        clock = session.clock
    ledger = storage.open_ledger()  # first: where it was moved away, nothing else is begun
    thread = LedgerThread(ledger)
    resources.callback(thread.close)
    if session is None or config.store is None:
        credentials = credentials_of(None, state, environment=os.environ)
    else:
        credentials = followed_credentials(config.store, state, session=session, environment=os.environ)
    mirror = storage.open_mirror()
    resources.callback(mirror.close)
    changes = storage.open_change_log(now=clock.now())
    resources.callback(changes.close)
    if session is not None:
        session.begin_following()
    return OpenStores(mirror, ledger, thread, changes, credentials, clock=clock, session=session)
