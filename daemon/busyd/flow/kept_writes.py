"""What busyd has just written to a server, kept in the mirror and shown, before the next poll finds it unchanged."""

from busyd.index.writer import Incoming, IndexWriter
from busyd.store.mirror import CalendarRecord


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
