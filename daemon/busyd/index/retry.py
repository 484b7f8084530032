"""Reading again what could not be read before (`state/postponed.py` has why), for as long as the daemon runs."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from busyd.cooperative import to_the_end
from busyd.index.loading import load_tables
from busyd.index.placeholders import as_mirrored
from busyd.state.postponed import FIRST_RETRY
from busyd.store.errors import StorageError
from busyd.store.occurrences import IndexEntry
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.batch import Changes
    from busyd.index.writer import IndexWriter

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Objects that are tried in one go."""


class _Outrun(Exception):
    """Another daemon has written the calendar, and that is not in memory yet."""


async def retry_postponed(writer: "IndexWriter") -> None:
    """Try again for ever, whenever something is due; ends only by being cancelled."""
    while True:
        try:
            await retry_when_due(writer)
        except StorageError as error:
            logger.error("what could not be read before could not be stored, trying again: %s", error)
            await writer.clock.sleep(FIRST_RETRY)


async def retry_when_due(writer: "IndexWriter") -> None:
    """Wait until something is due, and try it once."""
    postponed, clock = writer.state.postponed, writer.clock
    while (wait := postponed.next_due() - clock.monotonic()) > 0:
        await postponed.added.wait()
        await clock.sleep(min(wait, FIRST_RETRY))  # what is added meanwhile may be due earlier
    await _read_due(writer, clock.monotonic())


async def _read_due(writer: "IndexWriter", now: float) -> None:
    state = writer.state
    for calendar, numbers in state.postponed.due(now).items():
        while numbers:
            numbers = numbers[await _read_again(writer, calendar, numbers=numbers[:AT_ONCE]) :]
        rest = len(state.postponed.of(calendar))
        label = state.label_of(calendar)
        if rest:
            logger.warning("%s: %s", label, state.postponed.note(calendar))
        else:
            logger.info("%s: everything that could not be read before is read now", label)
    await writer.publisher.publish_snapshots()


async def _read_again(writer: "IndexWriter", calendar: int, *, numbers: Sequence[int]) -> int:
    """Try the first of these objects. How many."""
    state = writer.state
    tried = {number: state.postponed.get(number) for number in numbers}
    stored = await writer.store.read_objects_by_id(numbers)
    zones, span, own = writer.zones_of(calendar), writer.horizon, state.own_zones
    for number in set(numbers) - stored.keys():
        state.postponed.discard(number)
    if not stored:
        return len(numbers)
    expanded = await writer.expansion.expand([known.payload for known in stored.values()], zones, span=span)
    async with writer.publisher.changing:
        if (zones, span, own) != (writer.zones_of(calendar), writer.horizon, state.own_zones):
            return len(numbers)  # the next round does it
        read: dict[int, list[IndexEntry]] = {}
        uids: dict[int, str] = {}
        for (number, known), again in zip(stored.items(), expanded, strict=False):
            entries = again.entries(number, span)
            if state.postponed.get(number) is not tried[number]:
                continue  # there is another version of it by now
            if not any(entry.postponed for entry in entries):
                read[number] = as_mirrored(number, entries, etag=known.etag, span=span)
                uids[number] = again.uid
            else:
                writer.note_postponed(calendar, number, entries=entries)

        withheld, held = state.is_beyond(calendar), state.tables.generations.get(calendar, 0)

        def store(tx: Transaction) -> "Changes":
            if tx.generation_of(calendar) != held:
                raise _Outrun
            there = tx.still_there({number: (stored[number].payload, stored[number].etag) for number in read})
            kept: Changes = {number: entries for number, entries in read.items() if number in there}
            tx.record_uids({number: uid for number, uid in uids.items() if number in there})
            tx.replace_entries({number: read[number] for number in kept}, withheld=withheld)
            tx.advance_generation(calendar)
            return kept

        if read:
            versions = {number: (stored[number].href, stored[number].etag) for number in read}
            try:
                await to_the_end(writer.commit(calendar, store, versions=versions))
            except _Outrun:
                for number in read:
                    state.postponed.discard(number)  # whoever loads the calendar reads what was not read as well
                for zone in list(state.tables.of(calendar)):
                    await load_tables(writer, calendar, zone=zone)
    return numbers.index(list(stored)[len(expanded) - 1]) + 1
