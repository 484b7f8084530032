"""Carry out the fetching of a sync, in batches. What was fetched is handed back; nothing is stored here.

An object that cannot be had keeps nobody else's from coming, and is not taken for deleted.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Container, Sequence
from typing import Final

from msgspec import Struct

from busyd.dav.errors import LoginRefused, MalformedResponse, ServerFault, TooManyRequests
from busyd.dav.href import Href
from busyd.dav.operation import Fetched, FetchedObject, fetch_object, fetch_objects
from busyd.errors import RemoteError
from busyd.remote.client import CaldavClient
from busyd.remote.errors import AnswerTooLarge, Unreachable

BATCH: Final = 50
"""Objects a calendar-multiget: what iCloud is known to take without complaint (icloud.md 4.5)."""
IN_FLIGHT: Final = 2
"""Batches asked for at the same time, the budget of an account."""
_CHOKED: Final = (MalformedResponse, ServerFault, AnswerTooLarge)
_EDGE: Final = 1024
_STRIKES: Final = 3
"""So many objects in a row that cannot be had: then it is the server and not the object."""


class Batch(Struct, frozen=True):
    """What came of one batch of hrefs."""

    objects: tuple[FetchedObject, ...]
    vanished: frozenset[str]
    """Gone: those that were known, by a 404 of their own."""
    unread: frozenset[str]
    """Listed, but could not be read: they keep what the mirror has, and are tried again."""


async def fetch(
    client: CaldavClient, calendar: str, *, hrefs: Sequence[str], known: Container[str]
) -> AsyncGenerator[Batch, None]:
    """Fetch objects batch by batch, two requests in flight, in the order of `hrefs`. Close it when done (aclosing).

    `known` are the hrefs the mirror has: only for them absence needs proof. Raises RemoteError when the server or
    the way to it fails, as opposed to one object.
    """
    waiting: deque[asyncio.Task[Batch]] = deque()
    batches = [hrefs[start : start + BATCH] for start in range(0, len(hrefs), BATCH)]
    try:
        for batch in batches:
            waiting.append(asyncio.create_task(_fetch_batch(client, calendar, hrefs=batch, known=known)))
            if len(waiting) > IN_FLIGHT:
                yield await waiting.popleft()  # while it is stored, the next ones are under way
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _fetch_batch(client: CaldavClient, calendar: str, *, hrefs: Sequence[str], known: Container[str]) -> Batch:
    """One multiget; what it leaves out is asked for once more, then singly: only a 404 of its own proves absence."""
    answer = await _multiget(client, calendar, hrefs=[Href(href) for href in hrefs])
    objects, vanished, missing = list(answer.objects), set(answer.vanished), answer.missing
    if 1 < len(missing) < len(hrefs):
        again = await _multiget(client, calendar, hrefs=sorted(missing))
        objects += again.objects
        vanished |= again.vanished
        missing = again.missing
    doubtful = missing | {Href(href) for href in vanished if href in known}
    single = await _one_by_one(client, sorted(doubtful))
    fetched = (*objects, *single.objects)
    whole = tuple(member for member in fetched if _is_whole(member.payload))
    unread = single.missing | ({member.href for member in fetched} - {member.href for member in whole})
    return Batch(whole, frozenset(vanished - doubtful) | single.vanished, frozenset(unread))


def _is_whole(payload: bytes) -> bool:
    """Whether an object is a calendar from its first to its last line, and no page, garbage or part of one."""
    return b"BEGIN:VCALENDAR" in payload[:_EDGE].upper() and b"END:VCALENDAR" in payload[-_EDGE:].upper()


async def _multiget(client: CaldavClient, calendar: str, *, hrefs: Sequence[Href]) -> Fetched:
    """A multiget; when it fails it is halved, for the server may choke on one object, or the heap be too large."""
    try:
        return await client.run(fetch_objects(calendar, hrefs))
    except _CHOKED as error:
        if isinstance(error, ServerFault) and error.status != 500:
            raise
        if len(hrefs) == 1:
            return Fetched(missing=frozenset(hrefs))
    middle, fetched = len(hrefs) // 2, Fetched()
    for half in (hrefs[:middle], hrefs[middle:]):
        try:
            part = await client.run(fetch_objects(calendar, half))
        except _CHOKED as error:
            part = await _one_by_one(client, half, fault=error)
        fetched = Fetched(
            fetched.objects + part.objects, fetched.vanished | part.vanished, fetched.missing | part.missing
        )
    return fetched


async def _one_by_one(client: CaldavClient, hrefs: Sequence[Href], *, fault: RemoteError | None = None) -> Fetched:
    """A GET for each; `missing` is what cannot be had. After a `fault`, raises it when the first few fail as well."""
    objects: list[FetchedObject] = []
    vanished: set[Href] = set()
    missing: set[Href] = set()
    for href in hrefs:
        try:
            fetched = await client.run(fetch_object(href))
        except (LoginRefused, TooManyRequests, Unreachable):
            raise
        except RemoteError:
            missing.add(href)
            if fault is not None and len(missing) == _STRIKES and not objects:
                raise fault from None
            continue
        if fetched is None:
            vanished.add(href)
        else:
            objects.append(fetched)
    return Fetched(tuple(objects), frozenset(vanished), frozenset(missing))
