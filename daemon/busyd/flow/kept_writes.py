"""What busyd has just written to a server, kept in the mirror and shown, before the next poll finds it unchanged."""

import logging

from busyd.errors import BusydError
from busyd.flow.looks import WriteContext
from busyd.index.batch import Incoming
from busyd.index.writer import IndexWriter
from busyd.store.mirror import CalendarRecord

logger = logging.getLogger(__name__)


async def keep_written(writer: IndexWriter, record: CalendarRecord, *, href: str, payload: bytes, etag: str) -> None:
    """Have the mirror and every answer hold an object as its server has it now; no bytes when it is gone.

    Raises StorageError.
    """
    if payload:
        await writer.store_batch(record, [Incoming(href, etag, payload)])
    else:
        await writer.store_batch(record, [], gone=[href])
    connections = (record.connection,)
    await writer.publisher.publish_snapshots(connections)
    writer.state.publish(connections=connections)  # also what no snapshot has: titles, and time beyond the horizon


async def keep_in_mirror(
    writer: IndexWriter, record: CalendarRecord, *, context: WriteContext, href: str, payload: bytes, etag: str
) -> None:
    """The same, and the poll of its connection need not fetch it. Where it fails, the next poll sees to it."""
    try:
        await keep_written(writer, record, href=href, payload=payload, etag=etag)
        if payload:
            context.note_write(record.id, href, etag=etag)
    except BusydError as error:
        logger.warning("%s: what was written is not in the mirror before the next poll: %s", record.label, error)
