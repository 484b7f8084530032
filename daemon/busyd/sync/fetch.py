"""Carry out the fetching of a sync: changed objects in batches, objects in doubt one by one. Nothing is stored here.

An object that cannot be had keeps nobody else's from coming, and is not taken for deleted.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav.errors import DavError, LoginRefused, MalformedResponse, ServerFault, TooManyRequests
from busyd.dav.href import Href, is_same_etag, normalise_href
from busyd.dav.operation import Fetched, FetchedObject, fetch_object, fetch_objects
from busyd.errors import RemoteError
from busyd.ical.completing import completed
from busyd.remote.client import CaldavClient
from busyd.remote.errors import AnswerTooLarge, Unreachable
from busyd.sync.look import is_refusal

BATCH: Final = 50
"""Objects a calendar-multiget: what iCloud is known to take without complaint (icloud.md 4.5)."""
AHEAD: Final = 4
"""Batches that are asked for while one is stored; how many are sent at the same time is the account's limit."""
_FEW_AHEAD: Final = 2
"""The same while it is not known how large they are, and when they are large."""
_LARGE_BATCH: Final = 2 * 1024 * 1024
"""Bytes of objects."""
_CHOKED: Final = (MalformedResponse, ServerFault, AnswerTooLarge)
_EDGE: Final = 1024
_COMPONENT: Final = re.compile(rb"(?<=\n)(?i:BEGIN:(?!VCALENDAR))")
_TEXT: Final = re.compile(rb"(?<=\n)(?![A-Za-z0-9.-]+[;:])(?=[^\s])")
"""A line that is no line of a calendar: between the lines of one that has nothing else, it is a page."""
_STRIKES: Final = 3
"""So many objects in a row that cannot be had: then it is the server and not the object."""


class Batch(Struct, frozen=True):
    """What came of one batch of hrefs."""

    objects: tuple[FetchedObject, ...]
    missing: frozenset[str] = frozenset()
    """Listed, but left out, answered with 404, or not whole."""
    outdated: frozenset[str] = frozenset()
    """Handed out with another ETag than listed."""


class Single(Struct, frozen=True):
    """What came of asking for objects one by one."""

    objects: tuple[FetchedObject, ...] = ()
    not_found: frozenset[str] = frozenset()
    failed: frozenset[str] = frozenset()
    error: RemoteError | None = None
    """What kept the rest from being asked."""


async def fetch(
    client: CaldavClient, calendar: str, *, hrefs: Sequence[str], listed: Mapping[str, str], spelled: Mapping[str, str]
) -> AsyncGenerator[Batch, None]:
    """Fetch objects batch by batch, in the order of `hrefs`. Close it when done (aclosing).

    `listed`: href -> ETag as listed; `spelled`: href -> how the server writes it. Raises RemoteError when the server or
    the way to it fails, as opposed to one object.
    """
    waiting: deque[asyncio.Task[Batch]] = deque()
    ahead, is_large = _FEW_AHEAD, False

    def end_those_behind(task: "asyncio.Task[Batch]") -> None:
        if _has_failed(task) and task in waiting:
            for behind in islice(waiting, waiting.index(task) + 1, None):
                behind.cancel()

    try:
        for at in range(0, len(hrefs), BATCH):
            batch = [spelled.get(href, href) for href in hrefs[at : at + BATCH]]
            task = asyncio.create_task(_fetch_batch(client, calendar, hrefs=batch, listed=listed))
            task.add_done_callback(end_those_behind)
            waiting.append(task)
            while len(waiting) > ahead:
                had = await waiting.popleft()
                is_large |= sum(len(one.payload) for one in had.objects) > _LARGE_BATCH
                ahead = _FEW_AHEAD if is_large else AHEAD
                yield had  # while it is stored, the next ones are under way
            if any(_has_failed(task) for task in waiting):
                break  # a server that refuses is asked for no more
        while waiting:
            yield await waiting.popleft()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _has_failed(task: "asyncio.Task[Batch]") -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


async def fetch_singly(
    client: CaldavClient, calendar: str, *, hrefs: Sequence[str], spelled: Mapping[str, str], multiget: bool
) -> Single:
    """Ask for each object by a GET of its own; with `multiget` only for those that one multiget does not bring."""
    objects: list[FetchedObject] = []
    if multiget:
        try:
            answer = await client.run(fetch_objects(calendar, [spelled.get(href, href) for href in hrefs]))
            objects += await _completed(client, [one for one in answer.objects if _is_whole(one.payload)])
        except RemoteError as error:
            return Single(error=error)
    had = {fetched.href for fetched in objects}
    not_found: set[str] = set()
    failed: set[str] = set()
    for href in hrefs:
        if href in had:
            continue
        try:
            fetched = await client.run(fetch_object(spelled.get(href, href)))
        except (LoginRefused, TooManyRequests, Unreachable) as error:
            return Single(tuple(objects), frozenset(not_found), frozenset(failed), error)
        except RemoteError:
            failed.add(href)
            continue
        if fetched is None:
            not_found.add(href)
        elif _is_whole(fetched.payload):
            objects.append(fetched)
        else:
            failed.add(href)
    return Single(tuple(objects), frozenset(not_found), frozenset(failed))


async def _fetch_batch(
    client: CaldavClient, calendar: str, *, hrefs: Sequence[str], listed: Mapping[str, str]
) -> Batch:
    """One multiget; what it leaves out is asked for once more."""
    answer = await _multiget(client, calendar, hrefs=hrefs)
    objects, missing, vanished = list(answer.objects), answer.missing, answer.vanished
    if 1 < len(missing) < len(hrefs):
        again = await _multiget(client, calendar, hrefs=[href for href in hrefs if normalise_href(href) in missing])
        objects += again.objects
        missing, vanished = again.missing, vanished | again.vanished
    whole = [fetched for fetched in objects if _is_whole(fetched.payload)]
    outdated = frozenset(fetched.href for fetched in whole if _is_outdated(fetched, listed))
    broken = {fetched.href for fetched in objects} - {fetched.href for fetched in whole}
    current = [fetched for fetched in whole if fetched.href not in outdated]
    return Batch(tuple(await _completed(client, current)), frozenset(missing | vanished | broken), outdated)


async def _completed(client: CaldavClient, objects: Iterable[FetchedObject]) -> list[FetchedObject]:
    """The objects of a report with what it leaves out: a zone that only its object defines is asked for with a GET."""
    complete: list[FetchedObject] = []
    for fetched in objects:
        known, whole = fetched, completed(fetched.payload)
        if whole.lacks_a_zone and (stored := await _stored(client, fetched)) is not None:
            known, whole = stored, completed(stored.payload)
        complete.append(replace(known, payload=whole.payload))
    return complete


async def _stored(client: CaldavClient, fetched: FetchedObject) -> FetchedObject | None:
    """The object as it is stored; None when that cannot be had, or is another version by now."""
    try:
        stored = await client.run(fetch_object(fetched.href))
    except (LoginRefused, TooManyRequests, Unreachable):
        raise
    except RemoteError:
        return None
    if stored is None or not _is_whole(stored.payload) or not is_same_etag(stored.etag, fetched.etag):
        return None
    return stored


def _is_outdated(fetched: FetchedObject, listed: Mapping[str, str]) -> bool:
    etag = listed.get(fetched.href, "")
    return bool(etag and fetched.etag) and not is_same_etag(fetched.etag, etag)


def _is_whole(payload: bytes) -> bool:
    """Whether an object is a calendar from its first to its last line, and no page, garbage or part of one."""
    has_edges = b"BEGIN:VCALENDAR" in payload[:_EDGE].upper() and b"END:VCALENDAR" in payload[-_EDGE:].upper()
    return has_edges and (_COMPONENT.search(payload) is not None or _TEXT.search(payload) is None)


async def _multiget(client: CaldavClient, calendar: str, *, hrefs: Sequence[str]) -> Fetched:
    """A multiget; when it fails it is halved, for the server may choke on one object, or the heap be too large."""
    try:
        return await client.run(fetch_objects(calendar, hrefs))
    except (DavError, AnswerTooLarge) as error:
        if isinstance(error, DavError) and not is_refusal(error):
            raise
        if not isinstance(error, _CHOKED) or (isinstance(error, ServerFault) and error.status != 500):
            return await _without_report(client, hrefs, fault=error)
        if len(hrefs) == 1:
            return Fetched(missing=frozenset(map(normalise_href, hrefs)))
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


async def _without_report(client: CaldavClient, hrefs: Sequence[str], *, fault: RemoteError) -> Fetched:
    """A GET for each, since the server refuses the report. Raises its `fault` when not one object is handed out."""
    fetched = await _one_by_one(client, hrefs, fault=fault)
    if not fetched.objects:
        raise fault
    return fetched


async def _one_by_one(client: CaldavClient, hrefs: Sequence[str], *, fault: RemoteError) -> Fetched:
    """A GET for each, after a multiget has failed. Raises its `fault` when the first few fail as well."""
    objects: list[FetchedObject] = []
    vanished, missing = set[Href](), set[Href]()
    for href in hrefs:
        try:
            fetched = await client.run(fetch_object(href))
        except (LoginRefused, TooManyRequests, Unreachable):
            raise
        except RemoteError:
            missing.add(normalise_href(href))
            if len(missing) == _STRIKES and not objects:
                raise fault from None
            continue
        if fetched is None:
            vanished.add(normalise_href(href))
        else:
            objects.append(fetched)
    return Fetched(tuple(objects), frozenset(vanished), frozenset(missing))
