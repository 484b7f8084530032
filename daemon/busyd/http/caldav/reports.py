"""REPORT (RFC 3253 §3.6): calendar-multiget, calendar-query and sync-collection.

Depth is not looked at: apps send 0, 1 or none, whatever the RFC wants, and mean the same.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.filter import BadFilter, CalendarQuery
from busyd.dav.href import normalise_href
from busyd.dav.multistatus import MemberResponse
from busyd.dav.request import BadRequestBody, CalendarMultiget, SyncCollection
from busyd.dav.xml import Element
from busyd.flow.backend import Backend
from busyd.flow.collections import CollectionView, InvalidToken
from busyd.http.caldav.matching import matches_filter
from busyd.http.caldav.refusals import PreconditionNotMet
from busyd.http.caldav.resources import collection_href
from busyd.http.caldav.target import Target, member_resource, nothing_here
from busyd.http.problem import HttpProblem, bad_request

_NOBODY: Final = frozenset({names.EXPAND_PROPERTY, names.PRINCIPAL_PROPERTY_SEARCH})
"""Reports about other principals, of which there are none to be found."""
_EXPAND: Final = f"{names.PROP}/{names.CALENDAR_DATA}/{names.EXPAND}"


class ReportAnswer(Struct, frozen=True):
    """What a report says."""

    responses: Iterable[MemberResponse] = ()
    sync_token: str | None = None


class Reports:
    """Answers reports."""

    def __init__(self, backend: Backend) -> None:
        self._collections = backend.collections

    async def answer(self, target: Target, root: Element | None, *, minimal: bool) -> ReportAnswer:
        """Raises HttpProblem."""
        name = root.tag if root is not None else ""
        if name in _NOBODY:
            return ReportAnswer()
        if root is not None and root.find(_EXPAND) is not None:
            raise HttpProblem(
                "not-implemented",
                501,
                detail="busyd does not expand recurring events for apps yet",
                fix="ask for calendar-data without expand, and expand it in the app",
            )
        try:
            if target.collection is not None and target.member is None and root is not None:
                if name == names.CALENDAR_MULTIGET:
                    return await self._multiget(target, CalendarMultiget.from_xml(root), minimal=minimal)
                if name == names.CALENDAR_QUERY:
                    return await self._query(target, CalendarQuery.from_xml(root), minimal=minimal)
                if name == names.SYNC_COLLECTION and target.collection.made is None:
                    return await self._sync(target, SyncCollection.from_xml(root), minimal=minimal)
        except BadFilter as error:
            raise PreconditionNotMet(error.condition, detail=str(error)) from error
        except BadRequestBody as error:
            raise bad_request(str(error), fix="send the report as RFC 4791 or RFC 6578 describes it") from error
        raise PreconditionNotMet(names.SUPPORTED_REPORT, detail="this resource does not have that report")

    async def _multiget(self, target: Target, asked: CalendarMultiget, *, minimal: bool) -> ReportAnswer:
        """RFC 4791 §7.9: a response for each href, in their order and spelled as they are."""
        collection, owner = _of(target)
        home = normalise_href(collection_href(owner, collection), collection=True)
        canonical = [normalise_href(href) for href in asked.hrefs]
        named = [href.rpartition("/")[2] if href.rpartition("/")[0] + "/" == home else "" for href in canonical]
        contents = await self._collections.contents(collection, {name for name in named if name})

        def responses() -> Iterator[MemberResponse]:
            for name, href, spelling in zip(named, canonical, asked.hrefs, strict=True):
                content = contents.get(name)
                if content is None:
                    yield MemberResponse(href, status=404, spelling=spelling)
                    continue
                found = member_resource(target, name, tag=content.tag, payload=content.payload)
                response = found.response(asked.properties, selection=asked.selection, minimal=minimal)
                yield replace(response, spelling=spelling)

        return ReportAnswer(responses())

    async def _query(self, target: Target, asked: CalendarQuery, *, minimal: bool) -> ReportAnswer:
        """RFC 4791 §7.8."""
        collection, _ = _of(target)
        windows = [inner.window for inner in asked.filter.components if inner.window is not None and inner.defined]
        named: set[str] | None = None
        for window in windows:
            found = await self._collections.in_range(collection, window, zone=asked.timezone)
            named = set(found) if named is None else named & set(found)
        if named is None:
            named = {member.name for member in await self._collections.members(collection)}
        contents = await self._collections.contents(collection, sorted(named))

        def responses() -> Iterator[MemberResponse]:
            for name, content in contents.items():
                if matches_filter(content.payload, asked.filter):
                    found = member_resource(target, name, tag=content.tag, payload=content.payload)
                    yield found.response(asked.properties, selection=asked.selection, minimal=minimal)

        return ReportAnswer(responses())

    async def _sync(self, target: Target, asked: SyncCollection, *, minimal: bool) -> ReportAnswer:
        """RFC 6578 §3.2."""
        collection, owner = _of(target)
        if asked.infinite:
            raise PreconditionNotMet(names.SYNC_TRAVERSAL_SUPPORTED, detail="sync-level must be 1")
        try:
            changes = await self._collections.changes(collection, asked.token or "", limit=asked.limit)
        except InvalidToken as error:
            raise PreconditionNotMet(names.VALID_SYNC_TOKEN, detail=str(error)) from error
        home = collection_href(owner, collection)
        wanted = [change.name for change in changes.members if change.tag]
        has_data = names.CALENDAR_DATA in asked.properties
        contents = await self._collections.contents(collection, wanted) if has_data else {}

        def responses() -> Iterator[MemberResponse]:
            for change in changes.members:
                href = home + change.name
                if not change.tag:
                    yield MemberResponse(normalise_href(href), status=404, spelling=href)
                    continue
                content = contents.get(change.name)
                tag, payload = (content.tag, content.payload) if content is not None else (change.tag, None)
                found = member_resource(target, change.name, tag=tag, payload=payload)
                yield found.response(asked.properties, selection=asked.selection, minimal=minimal)
            if changes.truncated:
                condition = names.NUMBER_OF_MATCHES_WITHIN_LIMITS
                yield MemberResponse(normalise_href(home), status=507, spelling=home, condition=condition)

        return ReportAnswer(responses(), changes.token)


def _of(target: Target) -> tuple[CollectionView, str]:
    """The collection of a target, and its owner. Raises HttpProblem."""
    if target.collection is None or target.owner is None:
        raise nothing_here()
    return target.collection, target.owner
