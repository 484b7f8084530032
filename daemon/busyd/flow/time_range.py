"""Which members of a calendar have an occurrence in a span of time (RFC 4791 §9.9), by the one engine.

Not a question of free or busy: cancelled and transparent events are found too. What cannot be understood is found
always, as it may be at any time.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Final

from busyd.availability.index import PackedObject
from busyd.flow.explain import numbers_touching
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, LATEST, Instant, Period
from busyd.state.links import Link
from busyd.store.members import MemberContent

_DAY: Final = 86_400
_NEAR: Final = 400 * _DAY
"""How far an open window is looked into first: nearly every endless rule has an occurrence in it."""
_ZONES_APART: Final = 2 * _DAY
"""More than a floating time moves when it is read in another zone."""


async def candidates_in(writer: IndexWriter, link: Link, *, window: Period) -> list[str]:
    """The members that may have an occurrence in the window, by name. Raises StorageError."""
    calendar = link.calendar or 0
    wide = Period(Instant(max(window.start - _ZONES_APART, EARLIEST)), Instant(min(window.end + _ZONES_APART, LATEST)))
    beyond = writer.state.is_beyond(calendar)
    numbers = None if beyond else await numbers_touching(writer, link, window=wide)
    return await writer.store.member_names(calendar, numbers)


async def in_window(
    writer: IndexWriter, members: Mapping[str, MemberContent], *, window: Period, zone: str
) -> AsyncIterator[str]:
    """The names of those with an occurrence in the window; floating times are read in `zone`."""
    near, far = window, None
    if window.end == LATEST and window.start + _NEAR < LATEST:
        start = window.start if window.start != EARLIEST else Instant(0)
        near, far = Period(window.start, Instant(start + _NEAR)), window
    rest: dict[str, MemberContent] = {}
    async for name, found in _looked_at(writer, members, window=near, zone=zone):
        if found:
            yield name
        else:
            rest[name] = members[name]
    if far is not None and rest:
        async for name, found in _looked_at(writer, rest, window=far, zone=zone):
            if found:
                yield name


async def _looked_at(
    writer: IndexWriter, members: Mapping[str, MemberContent], *, window: Period, zone: str
) -> AsyncIterator[tuple[str, bool]]:
    # The engine leaves out what only touches the span; an occurrence of no length at its start counts here.
    span = Period(Instant(max(window.start - 1, EARLIEST)), Instant(min(window.end + 1, LATEST)))
    numbered = iter(members)
    async for indexed in writer.expansion.index((member.payload for member in members.values()), zone, span=span):
        yield next(numbered), _is_in(indexed, window)


def _is_in(indexed: PackedObject, window: Period) -> bool:
    if indexed.incomplete:
        return True
    for start, end, _ in indexed.rows():
        if window.start < end and start < window.end:
            return True
        if start == end and window.start <= start < window.end:
            return True
    return False
