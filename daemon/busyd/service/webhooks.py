"""Webhooks of an installation: what their secrets are made from is in its encrypted store."""

import contextlib
from collections.abc import Awaitable, Callable

from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from busyd.credentials.webhooks import MASTER_NAME
from busyd.flow.backend import Backend
from busyd.flow.webhooks import Webhooks
from busyd.log import hide_secret
from busyd.own_thread import in_own_thread
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread


async def tell_webhooks(
    backend: Backend, ledger: LedgerThread, *, credentials: CredentialStore, look: Callable[[], Awaitable[None]] | None
) -> None:
    """Deliver what changes to all webhooks, until cancelled. `look` has `credentials` follow what others change."""

    async def read_master() -> Secret | None:
        """Raises UserError."""
        if look is not None:
            with contextlib.suppress(StorageError):  # then as it was read before
                await look()
        master = await in_own_thread(lambda: credentials.get(MASTER_NAME), name="read the secrets of webhooks")
        if master is not None:
            hide_secret(master)
        return master

    backend.webhooks = Webhooks(ledger, backend.changes, clock=backend.clock, read_master=read_master)
    await backend.webhooks.run()
