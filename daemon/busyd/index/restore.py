"""What a start takes from the disk, before any network: calendars and snapshots at once, the tables a moment later."""

import logging
from collections.abc import Mapping
from functools import partial
from typing import Final

from busyd.availability.snapshot import unpack
from busyd.clock import Now
from busyd.index.version import index_version
from busyd.index.writer import IndexWriter
from busyd.state.profile_state import ProfileState
from busyd.store.transaction import Transaction

logger = logging.getLogger(__name__)

_VERSION: Final = "index"
"""Under what name the store keeps what its index was made with."""


class Restore:
    """Takes what the last run has left in the store."""

    def __init__(self, writer: IndexWriter) -> None:
        self._writer = writer
        self._state = writer.state

    def take_snapshots(self) -> None:
        """Take calendars, addresses and stored snapshots, on the calling thread, before the loop serves.

        Raises StorageError.
        """
        self._writer.store.transaction_now(self._take)

    async def load_tables(self) -> None:
        """Fill the tables from the stored index, expand what it lacks, and build what could not be restored.

        Raises StorageError.
        """
        version, writer = index_version(self._state.own_zones), self._writer
        stored = await writer.store.read_meta(_VERSION)
        if stored != version:
            if stored is not None:
                logger.info("the index was made by busyd %s, this is %s: expanding everything anew", stored, version)
            async with writer.publisher.changing:
                await writer.store.transaction(partial(_begin_index, version=version))
                self._state.tables.clear()
                self._state.problems.clear()
        await writer.complete_tables()

    def _take(self, tx: Transaction) -> None:
        state = self._state
        tx.forget_other_accounts([connection_state.connection for connection_state in state.connections.values()])
        tx.forget_snapshots(state.profiles)
        for name, connection_state in state.connections.items():
            account = tx.read_account(name)
            if account is not None:
                connection_state.addresses, connection_state.listed = account.addresses, True
                connection_state.partial = account.partial
        records, clock = tx.read_calendars(), self._writer.clock
        state.proofs.restore(records, now=Now(clock.now(), clock.monotonic()))
        state.take_calendars(records)
        if tx.read_meta(_VERSION) == index_version(self._state.own_zones):
            generations = tx.generations()
            for profile_state in state.profiles.values():
                self._take_snapshot(profile_state, tx, generations=generations)

    def _take_snapshot(self, profile_state: ProfileState, tx: Transaction, *, generations: Mapping[int, int]) -> None:
        publisher, name = self._writer.publisher, profile_state.profile.name
        key, body = tx.read_snapshot(name) or ("", b"")
        if key != publisher.key_of(profile_state, generations, horizon=publisher.horizon):
            return
        try:
            snapshot = unpack(body)
        except ValueError:
            logger.warning("the stored snapshot of profile %s is damaged, building it anew", name)
        else:
            profile_state.restore(snapshot, key)


def _begin_index(tx: Transaction, version: str) -> None:
    tx.forget_entries()
    tx.record_meta(_VERSION, version)
