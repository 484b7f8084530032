"""REPORT (RFC 3253 §3.6): calendar-multiget, calendar-query and sync-collection.

Depth is not looked at: apps send 0, 1 or none, whatever the RFC wants, and mean the same.
"""

from collections.abc import AsyncIterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.calendar_data import CalendarData
from busyd.dav.filter import BadFilter, CalendarQuery
from busyd.dav.href import normalise_href
from busyd.dav.multistatus import MemberResponse
from busyd.dav.request import BadRequestBody, CalendarMultiget, SyncCollection
from busyd.dav.xml import Element
from busyd.flow.backend import Backend
from busyd.flow.collections import CollectionChanges, CollectionView, InvalidToken
from busyd.http.caldav.matching import matches_filter
from busyd.http.caldav.refusals import PreconditionNotMet
from busyd.http.caldav.resources import collection_href
from busyd.http.caldav.target import Target, member_resource, nothing_here
from busyd.http.problem import bad_request
from busyd.ical.tree import select_parts
from busyd.ical.zones import find_zone

_NOBODY: Final = frozenset(
    {
        names.ACL_PRINCIPAL_PROP_SET,
        names.EXPAND_PROPERTY,
        names.PRINCIPAL_MATCH,
        names.PRINCIPAL_PROPERTY_SEARCH,
    }
)
"""Reports about other principals, of which there are none to be found."""


class ReportAnswer(Struct, frozen=True):
    """What a report says."""

    responses: AsyncIterator[MemberResponse]
    sync_token: str | None = None


class Reports:
    """Answers reports."""

    def __init__(self, backend: Backend) -> None:
        self._collections = backend.collections

    async def answer(self, target: Target, root: Element | None, *, minimal: bool) -> ReportAnswer:
        """Raises HttpProblem."""
        name = root.tag if root is not None else ""
        if name in _NOBODY:
            return ReportAnswer(_nothing())
        try:
            if target.collection is not None and target.member is None and root is not None:
                data = CalendarData.from_xml(root)
                if name == names.CALENDAR_MULTIGET:
                    multiget = CalendarMultiget.from_xml(root)
                    return ReportAnswer(self._multiget(target, multiget, data=data, minimal=minimal))
                if name == names.CALENDAR_QUERY:
                    query = CalendarQuery.from_xml(root)
                    _check_zone(root)
                    return ReportAnswer(self._query(target, query, data=data, minimal=minimal))
                if name == names.SYNC_COLLECTION:
                    return await self._sync(target, SyncCollection.from_xml(root), data=data, minimal=minimal)
        except BadFilter as error:
            raise PreconditionNotMet(error.condition, detail=str(error)) from error
        except BadRequestBody as error:
            raise bad_request(str(error), fix="send the report as RFC 4791 or RFC 6578 describes it") from error
        raise PreconditionNotMet(names.SUPPORTED_REPORT, detail="this resource does not have that report")

    async def _multiget(
        self, target: Target, asked: CalendarMultiget, *, data: CalendarData, minimal: bool
    ) -> AsyncIterator[MemberResponse]:
        """RFC 4791 §7.9: a response for each href, in their order and spelled as they are."""
        collection, owner = _of(target)
        home = normalise_href(collection_href(owner, collection), collection=True)
        canonical = [normalise_href(href) for href in asked.hrefs]
        named = [href.rpartition("/")[2] if href.rpartition("/")[0] + "/" == home else "" for href in canonical]
        numbered = iter(zip(canonical, asked.hrefs, strict=True))
        async for name, content in self._collections.contents(collection, named):
            href, spelling = next(numbered)
            if content is None:
                yield MemberResponse(href, status=404, spelling=spelling)
                continue
            wanted = await self._wanted_of(collection, content.payload, data=data)
            found = member_resource(target, name, tag=content.tag, size=len(content.payload), data=wanted)
            response = found.response(asked.properties, selection=asked.selection, minimal=minimal)
            yield replace(response, spelling=spelling)

    async def _query(
        self, target: Target, asked: CalendarQuery, *, data: CalendarData, minimal: bool
    ) -> AsyncIterator[MemberResponse]:
        """RFC 4791 §7.8."""
        collection, _ = _of(target)
        window = next((inner.window for inner in asked.filter.components if inner.window is not None), None)
        async for name, content in self._collections.in_range(collection, window, zone=asked.timezone):
            if not matches_filter(content.payload, asked.filter):
                continue
            wanted = await self._wanted_of(collection, content.payload, data=data, zone=asked.timezone)
            found = member_resource(target, name, tag=content.tag, size=len(content.payload), data=wanted)
            yield found.response(asked.properties, selection=asked.selection, minimal=minimal)

    async def _sync(self, target: Target, asked: SyncCollection, *, data: CalendarData, minimal: bool) -> ReportAnswer:
        """RFC 6578 §3.2."""
        collection, _ = _of(target)
        if asked.infinite:
            raise PreconditionNotMet(names.SYNC_TRAVERSAL_SUPPORTED, detail="sync-level must be 1")
        try:
            changes = await self._collections.changes(collection, asked.token or "", limit=asked.limit)
        except InvalidToken as error:
            raise PreconditionNotMet(names.VALID_SYNC_TOKEN, detail=str(error)) from error
        return ReportAnswer(self._changed(target, asked, changes=changes, data=data, minimal=minimal), changes.token)

    async def _changed(
        self, target: Target, asked: SyncCollection, *, changes: CollectionChanges, data: CalendarData, minimal: bool
    ) -> AsyncIterator[MemberResponse]:
        collection, owner = _of(target)
        home = collection_href(owner, collection)
        for change in changes.members:
            if not change.tag:
                yield _gone(home + change.name)
        told = {change.name: change.tag for change in changes.members if change.tag}
        if names.CALENDAR_DATA in asked.properties:
            async for name, content in self._collections.contents(collection, list(told)):
                if content is not None:
                    wanted = await self._wanted_of(collection, content.payload, data=data)
                    found = member_resource(target, name, tag=content.tag, size=len(content.payload), data=wanted)
                    yield found.response(asked.properties, selection=asked.selection, minimal=minimal)
                elif asked.token is not None:  # removed while the answer is being made, after its token
                    yield _gone(home + name)
        else:
            for name, tag in told.items():
                found = member_resource(target, name, tag=tag)
                yield found.response(asked.properties, selection=asked.selection, minimal=minimal)
        if changes.truncated:
            condition = names.NUMBER_OF_MATCHES_WITHIN_LIMITS
            yield MemberResponse(normalise_href(home), status=507, spelling=home, condition=condition)

    async def _wanted_of(
        self, collection: CollectionView, payload: bytes, *, data: CalendarData, zone: str | None = None
    ) -> bytes:
        """Of an object what a report asks for (RFC 4791 §9.6)."""
        span = data.expand or data.limit
        if span is not None:
            is_expanded = data.expand is not None
            payload = await self._collections.instances(collection, payload, span=span, zone=zone, expand=is_expanded)
        return select_parts(payload, data.wanted) if data.wanted is not None else payload


def _check_zone(query: Element) -> None:
    """Raises BadFilter for the name of a zone that nobody knows (RFC 7809 §5.2.2)."""
    named = query.findtext(names.TIMEZONE_ID)
    if named and find_zone(named) is None:
        message = f"no time zone is known by the name {named[:40]!r}"
        raise BadFilter(message, condition=names.VALID_TIMEZONE)


async def _nothing() -> AsyncIterator[MemberResponse]:
    responses: tuple[MemberResponse, ...] = ()
    for response in responses:
        yield response


def _gone(href: str) -> MemberResponse:
    """RFC 6578 §3.5.2: a status of its own, and no propstat."""
    return MemberResponse(normalise_href(href), status=404, spelling=href)


def _of(target: Target) -> tuple[CollectionView, str]:
    """The collection of a target, and its owner. Raises HttpProblem."""
    if target.collection is None or target.owner is None:
        raise nothing_here(details=target.details)
    return target.collection, target.owner
