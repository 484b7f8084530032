"""Which objects of a calendar have an occurrence in a span of time (RFC 4791 §9.9), by the one engine.

Not a question of free or busy: cancelled and transparent events are found too. What cannot be understood is found
always, as it may be at any time.
"""

from collections.abc import Sequence
from typing import Final

from busyd.availability.index import PackedObject
from busyd.flow.explain import objects_touching
from busyd.ical.zones import find_zone
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, LATEST, Instant, Period
from busyd.state.links import Link
from busyd.store.mirror import StoredObject

_DAY: Final = 86_400
_NEAR: Final = 400 * _DAY
"""How far an open window is looked into first: nearly every endless rule has an occurrence in it."""
_ZONES_APART: Final = 2 * _DAY
"""More than a floating time moves when it is read in another zone."""


async def objects_in_range(
    writer: IndexWriter, link: Link, *, window: Period, zone: str | None = None
) -> list[StoredObject]:
    """The objects with an occurrence in the window, by href; floating times are read in `zone`, if that is known.

    Raises StorageError.
    """
    read_in = zone if zone and find_zone(zone) is not None else link.zone
    wide = Period(Instant(max(window.start - _ZONES_APART, EARLIEST)), Instant(min(window.end + _ZONES_APART, LATEST)))
    if writer.state.is_beyond(link.calendar or 0):
        candidates = await writer.store.read_objects(link.calendar or 0)
    else:
        candidates = await objects_touching(writer, link, window=wide)
    candidates = [known for known in candidates if known.payload]
    near, far = window, None
    if window.end == LATEST and window.start + _NEAR < LATEST:
        start = window.start if window.start != EARLIEST else Instant(0)
        near, far = Period(window.start, Instant(start + _NEAR)), window
    found, rest = await _split(writer, candidates, window=near, zone=read_in)
    if far is not None and rest:
        found += (await _split(writer, rest, window=far, zone=read_in))[0]
    return sorted(found, key=lambda known: known.href)


async def _split(
    writer: IndexWriter, candidates: Sequence[StoredObject], *, window: Period, zone: str
) -> tuple[list[StoredObject], list[StoredObject]]:
    """Those with an occurrence in the window, and the others."""
    # The engine leaves out what only touches the span; an occurrence of no length at its start counts here.
    span = Period(Instant(max(window.start - 1, EARLIEST)), Instant(min(window.end + 1, LATEST)))
    found: list[StoredObject] = []
    rest: list[StoredObject] = []
    numbered = iter(candidates)
    async for indexed in writer.expansion.index((known.payload for known in candidates), zone, span=span):
        (found if _is_in(indexed, window) else rest).append(next(numbered))
    return found, rest


def _is_in(indexed: PackedObject, window: Period) -> bool:
    if indexed.incomplete:
        return True
    for start, end, _ in indexed.rows():
        if window.start < end and start < window.end:
            return True
        if start == end and window.start <= start < window.end:
            return True
    return False
