"""A changed `privacy:`: what is stored of a connection is read anew, and nothing of before stays in the files."""

import logging
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final

from busyd.connection import Privacy
from busyd.index.writer import IndexWriter
from busyd.state.privacy import kept_mark
from busyd.store.transaction import Transaction

logger = logging.getLogger(__name__)

_NAME: Final = "kept:"
"""Under this name with the connection's, the store keeps what is stored of it."""


async def follow_privacy(writer: IndexWriter, connections: Iterable[str]) -> None:
    """Forget the connections of which other things are stored than is wanted now, until they are read again.

    To be called while none of them is read. Their time is not known meanwhile. Raises StorageError; when it ends
    before its time, the next call begins anew.
    """
    store, state = writer.store, writer.state
    forgotten: dict[str, str] = {}
    known = await store.read_metas(_NAME)
    for name in connections:
        before, wanted = known.get(_NAME + name) or str(Privacy.FULL), kept_mark(state, name)
        if before != wanted:
            forgotten[name] = wanted
    read = [name for name in forgotten if await store.read_calendars(name)]
    for name in read:
        logger.info("%s: `privacy` is another, so its calendars are read anew", name)
        numbers = [record.id for record in state.calendars_of(name)]
        async with writer.publisher.changing:
            await store.transaction(partial(Transaction.forget_account, connection=name))
            connection_state = state.connections[name]
            connection_state.listed, connection_state.partial = False, ""
            for number in numbers:
                state.tables.keep(number, ())
            await state.take_listing(name, [])
    if read:
        await writer.complete_tables()
        await store.scrub()
    if forgotten:
        await store.transaction(partial(_record, kept=forgotten))


def _record(tx: Transaction, kept: Mapping[str, str]) -> None:
    for name, mark in kept.items():
        tx.record_meta(_NAME + name, mark)
