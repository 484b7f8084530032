"""Webhooks of a state directory: what their secrets are made from is in its encrypted store."""

import os
from pathlib import Path

from busyd.credentials import Secret
from busyd.credentials.store import CredentialStore
from busyd.credentials.webhooks import MASTER_NAME
from busyd.flow.backend import Backend
from busyd.flow.webhooks import Webhooks
from busyd.log import hide_secret
from busyd.own_thread import in_own_thread
from busyd.store.ledger_thread import LedgerThread


async def tell_webhooks(backend: Backend, ledger: LedgerThread, *, folder: Path) -> None:
    """Deliver what changes to all webhooks, until cancelled."""

    async def read_master() -> Secret | None:
        """Raises UserError."""
        store = CredentialStore(folder, os.environ)
        master = await in_own_thread(lambda: store.get(MASTER_NAME), name="read the secrets of webhooks")
        if master is not None:
            hide_secret(master)
        return master

    backend.webhooks = Webhooks(ledger, backend.changes, clock=backend.clock, read_master=read_master)
    await backend.webhooks.run()
