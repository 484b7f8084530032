"""What a start takes from the disk, before any network: calendars and snapshots at once, the tables a moment later."""

import logging
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Final

from busyd.availability.snapshot import unpack
from busyd.clock import Now
from busyd.index.version import index_version
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.state.profile_state import ProfileState
from busyd.store.statements.occurrences import INDEX
from busyd.store.transaction import Transaction

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 100
"""Snapshots that are read at once."""


class Restore:
    """Takes what the last run has left in the store."""

    def __init__(
        self, writer: IndexWriter, *, others: Collection[str] = (), hear: Callable[[Instant], None] | None = None
    ) -> None:
        """`others` are connections that other daemons read, whether they are configured here or not.

        `hear` is told the date of the newest proof, which may be ahead of a clock that several daemons share.
        """
        self._writer = writer
        self._others = others
        self._hear = hear
        self._state = writer.state

    def take_snapshots(self) -> None:
        """Take calendars, addresses and stored snapshots, on the calling thread, before the loop serves.

        Raises StorageError.
        """
        store = self._writer.store
        store.transaction_now(self._forget)
        store.read_now(self._take)  # apart: of thousands it takes so long that other daemons could not wait to write

    async def load_tables(self) -> None:
        """Fill the tables from the stored index, expand what it lacks, and build what could not be restored.

        Raises StorageError.
        """
        version, writer = index_version(self._state.own_zones), self._writer
        stored = await writer.store.read_meta(INDEX)
        if stored != version or writer.store.index_version not in ("", version):
            if stored not in (None, version):
                logger.info("the index was made by busyd %s, this is %s: expanding everything anew", stored, version)
            async with writer.publisher.changing:
                writer.store.index_version = version
                if stored != version:  # else another daemon has begun it anew
                    await writer.store.transaction(partial(_begin_index, version=version))
                self._state.tables.clear()
                self._state.problems.clear()
        writer.store.index_version = version
        await writer.complete_tables()

    def _forget(self, tx: Transaction) -> None:
        configured = [connection_state.connection for connection_state in self._state.connections.values()]
        tx.forget_other_accounts(configured, kept=self._others)
        tx.forget_snapshots(self._state.profiles)

    def _take(self, tx: Transaction) -> None:
        state = self._state
        for account in tx.read_accounts():
            if (connection_state := state.connections.get(account.connection)) is not None:
                connection_state.addresses, connection_state.listed = account.addresses, True
                connection_state.partial = account.partial
        records, clock = [one for one in tx.read_calendars() if one.connection in state.connections], self._writer.clock
        newest = max((one.as_of for one in records if one.as_of is not None), default=None)
        if self._hear is not None and newest is not None:
            self._hear(newest)
        # What others have proved is dated by the same clock, and may be of this very second.
        now = Instant(clock.now() + 1) if self._others else clock.now()
        state.proofs.restore(records, now=Now(now, clock.monotonic()))
        state.take_calendars(records)
        if tx.read_meta(INDEX) == index_version(self._state.own_zones):
            generations = tx.generations()
            names = list(state.profiles)
            for first in range(0, len(names), _AT_ONCE):
                stored = tx.read_snapshots(names[first : first + _AT_ONCE])
                for name, kept in stored.items():
                    self._take_snapshot(state.profiles[name], kept, generations=generations)

    def _take_snapshot(
        self, profile_state: ProfileState, stored: tuple[str, bytes], *, generations: Mapping[int, int]
    ) -> None:
        publisher, name, (key, body) = self._writer.publisher, profile_state.profile.name, stored
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
    tx.record_meta(INDEX, version)
