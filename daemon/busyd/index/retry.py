"""Reading again what could not be read before (`state/postponed.py` has why), for as long as the daemon runs."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from busyd.cooperative import to_the_end
from busyd.index.placeholders import outdated
from busyd.state.postponed import FIRST_RETRY
from busyd.store.errors import StorageError
from busyd.store.occurrences import IndexEntry
from busyd.store.transaction import Transaction

if TYPE_CHECKING:
    from busyd.index.mirroring import Changes, Mirroring

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100
"""Objects that are tried in one go."""


async def retry_postponed(mirroring: "Mirroring") -> None:
    """Try again for ever, whenever something is due; ends only by being cancelled."""
    while True:
        try:
            await retry_when_due(mirroring)
        except StorageError as error:
            logger.error("what could not be read before could not be stored, trying again: %s", error)
            await mirroring.clock.sleep(FIRST_RETRY)


async def retry_when_due(mirroring: "Mirroring") -> None:
    """Wait until something is due, and try it once."""
    postponed, clock = mirroring.state.postponed, mirroring.clock
    while (wait := postponed.next_due() - clock.monotonic()) > 0:
        await postponed.added.wait()
        await clock.sleep(min(wait, FIRST_RETRY))  # what is added meanwhile may be due earlier
    await _read_due(mirroring, clock.monotonic())


async def _read_due(mirroring: "Mirroring", now: float) -> None:
    state = mirroring.state
    for calendar, numbers in state.postponed.due(now).items():
        while numbers:
            numbers = numbers[await _read_again(mirroring, calendar, numbers[:AT_ONCE]) :]
        rest = len(state.postponed.of(calendar))
        label = state.label_of(calendar)
        if rest:
            logger.warning("%s: %s", label, state.postponed.note(calendar))
        else:
            logger.info("%s: everything that could not be read before is read now", label)
    await mirroring.catch_up()


async def _read_again(mirroring: "Mirroring", calendar: int, numbers: Sequence[int]) -> int:
    """Try the first of these objects. How many."""
    state = mirroring.state
    tried = {number: state.postponed.get(number) for number in numbers}
    stored = await mirroring.store.read_objects_by_id(numbers)
    zones, span = mirroring.zones_of(calendar), mirroring.span
    for number in set(numbers) - stored.keys():
        state.postponed.discard(number)
    if not stored:
        return len(numbers)
    expanded = await mirroring.expansion.expand([one.payload for one in stored.values()], zones, span)
    async with mirroring.changing:
        if (zones, span) != (mirroring.zones_of(calendar), mirroring.span):
            return len(numbers)  # the next round does it
        read: dict[int, list[IndexEntry]] = {}
        uids: dict[int, str] = {}
        for (number, known), one in zip(stored.items(), expanded, strict=False):
            entries = one.entries(number, span)
            if state.postponed.get(number) is not tried[number]:
                continue  # there is another version of it by now
            if not any(entry.postponed for entry in entries):
                read[number], uids[number] = entries if known.etag else outdated(entries), one.uid
            else:
                mirroring.note_postponed(calendar, number, entries)

        withheld = state.is_beyond(calendar)

        def store(tx: Transaction) -> "Changes":
            tx.record_uids(uids)
            tx.replace_entries(read, withheld=withheld)
            tx.advance_generation()
            return dict(read)

        if read:
            await to_the_end(mirroring.commit(calendar, store))
    return numbers.index(list(stored)[len(expanded) - 1]) + 1
