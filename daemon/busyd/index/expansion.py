"""Payloads -> what they say of time: a few light ones on the loop, all else in the worker. Nothing is stored."""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from busyd.availability.index import PackedObject, index_object, pack_object
from busyd.cooperative import let_others_run
from busyd.index.worker import Worker, is_heavy
from busyd.period import Period
from busyd.state.state import State
from busyd.store.occurrences import ANY_ZONE, IndexEntry

FEW: Final = 8
"""Light payloads that are read on the loop: less than a millisecond of work, and no process need start for them."""
BATCH: Final = 100
"""Payloads the worker is asked for at once."""
BATCH_BYTES: Final = 512 * 1024


class Expanded(Struct, frozen=True):
    """One object, read once for every zone that makes a difference."""

    uid: str
    by_zone: tuple[tuple[str, PackedObject], ...]

    def entries(self, object_id: int, span: Period) -> list[IndexEntry]:
        """As they are stored under the object's id."""
        return [entry_of(object_id, zone, span=span, indexed=indexed) for zone, indexed in self.by_zone]


class Expansion:
    """Reads and expands objects without ever holding the loop for long."""

    def __init__(self, state: State) -> None:
        self.worker = Worker()
        self._state = state

    async def index(self, payloads: Iterable[bytes], zone: str, *, span: Period) -> AsyncIterator[PackedObject]:
        """What each payload says of time inside `span`, read in `zone`. Never raises for what is in a payload."""
        for batch in _batches(payloads):
            rest = batch
            while rest:
                part = await self._index_some(rest, zone, span=span)
                rest = rest[len(part) :]
                for indexed in part:
                    yield indexed

    async def expand(self, payloads: Sequence[bytes], zones: Iterable[str], *, span: Period) -> list[Expanded]:
        """The same for every zone in which somebody reads them, each object as often as that makes a difference.

        Of the first of the payloads at least, and of as many as are light enough to be held at once.
        """
        first_zone, *other_zones = sorted(zones)
        first = await self._index_some(next(_batches(payloads)), first_zone, span=span)
        others: dict[int, list[tuple[str, PackedObject]]] = {}
        dependent = [number for number, indexed in enumerate(first) if indexed.zone_dependent]
        for zone in other_zones:
            again = self.index([payloads[number] for number in dependent], zone, span=span)
            for number in dependent:
                others.setdefault(number, []).append((zone, await anext(again)))
        return [
            Expanded(
                indexed.uid,
                ((first_zone if indexed.zone_dependent else ANY_ZONE, indexed), *others.get(number, ())),
            )
            for number, indexed in enumerate(first)
        ]

    async def _index_some(self, batch: list[bytes], zone: str, *, span: Period) -> list[PackedObject]:
        """What at least the first of these says."""
        own = self._state.own_zones
        if len(batch) < FEW and not any(map(is_heavy, batch)):
            await let_others_run()
            return [pack_object(index_object(payload, span, zone=zone, own_zones=own)) for payload in batch]
        return await self.worker.index(batch, span, zone=zone, own_zones=own)

    async def close(self) -> None:
        """End the worker."""
        await self.worker.close()


def _batches(payloads: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The payloads in their order, so many at a time as the worker is asked for at once."""
    batch: list[bytes] = []
    size = 0
    for payload in payloads:
        batch.append(payload)
        size += len(payload)
        if len(batch) == BATCH or size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def entry_of(object_id: int, zone: str, *, span: Period, indexed: PackedObject) -> IndexEntry:
    """What is stored of one reading."""
    return IndexEntry(
        object=object_id,
        zone=zone,
        span=span,
        recurring=indexed.recurring,
        occurrences=indexed.flat,
        facts=indexed.facts,
        problems=indexed.problems,
        incomplete=indexed.incomplete,
        incomplete_since=indexed.incomplete_since,
        postponed=indexed.postponed,
    )
