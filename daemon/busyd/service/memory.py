"""What a daemon answers from, filled from its stores at a start."""

import logging
import os
from contextlib import AsyncExitStack

from msgspec import Struct

from busyd.config import Config
from busyd.config.digest import config_digest
from busyd.index.changes import ChangeRecorder
from busyd.index.publisher import SnapshotPublisher
from busyd.index.restore import Restore
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST
from busyd.service.state_dir import machine_zone
from busyd.service.stores import OpenStores
from busyd.state.links import remembered_by_profile
from busyd.state.state import State

logger = logging.getLogger(__name__)


class Memory(Struct, frozen=True):
    """What is known, and what changes it."""

    state: State
    recorder: ChangeRecorder
    writer: IndexWriter
    restore: Restore


async def open_memory(config: Config, stores: OpenStores, *, resources: AsyncExitStack) -> Memory:
    """Take what is stored, as far as it can be answered from at once. `resources` ends it. Raises StorageError."""
    clock, session = stores.clock, stores.session
    connections = [settings.connection for settings in config.connections.values()]
    state = State(connections, config.profiles.values(), machine_zone=machine_zone(os.environ))
    state.own_zones = config.time_zones
    state.remembered = remembered_by_profile(stores.ledger.resolved_links(), state.profiles)
    state.problems.accepted = stores.ledger.acceptances()
    recorder = ChangeRecorder(stores.changes, state, clock=clock, store=stores.mirror)
    publisher = SnapshotPublisher(stores.mirror, state, clock=clock, changes=recorder)
    rows = stores.ledger.outbox(lambda outbox: outbox.unsettled(EARLIEST))
    state.own.take(rows)
    if session is None:
        await recorder.take_as_told(rows)
        recorder.note_rows(rows)
    else:
        state.config_digest = config_digest(config, state.machine_zone)
        publisher.keeps = lambda _: False  # until it is known which are this daemon's
        await recorder.pause()
    for warning in state.own.warnings(state.profiles):
        logger.warning("%s", warning)
    writer = IndexWriter(stores.mirror, state, clock=clock, publisher=publisher)
    resources.push_async_callback(writer.close)
    others = await session.run(session.fleet.declared) if session is not None else ()
    restore = Restore(writer, others=others, hear=session.clock.hear if session is not None else None)
    restore.take_snapshots()
    return Memory(state, recorder, writer, restore)
