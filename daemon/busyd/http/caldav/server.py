"""The methods of the CalDAV server, except for the reports."""

from collections.abc import AsyncIterator, Iterable
from typing import Final

from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.filter import BadFilter, free_busy_window
from busyd.dav.multistatus import MemberResponse
from busyd.dav.request import BadRequestBody, Propfind
from busyd.dav.xml import Element, NotXml, make, parse_xml, write_xml
from busyd.flow.ask import answer_at_once
from busyd.flow.backend import Backend
from busyd.flow.working_hours import WorkingHours
from busyd.http import web
from busyd.http.caldav.blocked import BlockedSlots
from busyd.http.caldav.changing import change_properties, with_kept
from busyd.http.caldav.memo import AnswerMemo
from busyd.http.caldav.paths import ROOT, WELL_KNOWN
from busyd.http.caldav.refusals import DAV_HEADERS, XML, PreconditionNotMet, no_privilege
from busyd.http.caldav.reports import Reports
from busyd.http.caldav.resources import (
    CONTENT_TYPE,
    HomeFacts,
    Resource,
    calendar,
    collection_href,
    etag_of,
    principal,
    starting_point,
)
from busyd.http.caldav.sending import one, send_multistatus
from busyd.http.caldav.target import Target, find_target, member_resource, nothing_here
from busyd.http.caldav.writing import MemberWriter
from busyd.http.call import Call
from busyd.http.freebusy import check_configured, vfreebusy
from busyd.http.problem import bad_request
from busyd.http.query import MAX_WINDOW
from busyd.http.request_body import read_any_body
from busyd.http.response import matches
from busyd.http.settings import Limits

_OF_COLLECTION: Final = "GET, HEAD, OPTIONS, PROPFIND, PROPPATCH, REPORT"
_OF_MEMBER: Final = "GET, HEAD, OPTIONS, PROPFIND"
_FINDING: Final = "GET, HEAD, OPTIONS, PROPFIND, PROPPATCH, REPORT"


class CaldavServer:
    """Answers for the collections of the backend."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits
        self._reports = Reports(backend)
        self._blocked = BlockedSlots(backend)
        self._hours = WorkingHours(backend.clock)
        self._memo = AnswerMemo(backend)
        self._members = MemberWriter(backend.object_writer, body_seconds=limits.body_seconds)

    async def handle(self, call: Call) -> web.StreamResponse:
        """Any method. Raises HttpProblem."""
        method = call.request.method
        if method not in ("PROPFIND", "REPORT"):
            return await self._serve(call, b"")
        body = await read_any_body(call, self._limits.body_seconds)
        basis = self._memo.basis(call)
        response = self._memo.at_once(call, body, basis=basis)
        if response is None:
            response = await self._serve(call, body)
            self._memo.remember(call, body, response=response, basis=basis)
        return response

    async def _serve(self, call: Call, body: bytes) -> web.StreamResponse:
        method = call.request.method
        target = await find_target(call, self._backend, blocked=self._blocked)
        target = replace(target, writable=self._members.may_write(target))
        if method == "OPTIONS":
            allow = _FINDING if target.owner is None else _OF_MEMBER if target.member is not None else _OF_COLLECTION
            if target.member is not None and target.writable:
                allow = f"DELETE, MOVE, {allow}, PUT"
            return web.Response(headers={**DAV_HEADERS, "Allow": allow, "Content-Length": "0"})
        if method in ("GET", "HEAD"):
            return await self._get(call, target)
        if method in ("PUT", "DELETE", "MOVE"):
            try:
                return await self._members.write(call, target)
            finally:
                if target.collection is not None and target.collection.made is not None:
                    self._blocked.forget(target.collection.owner)
        if method not in ("PROPFIND", "PROPPATCH", "REPORT") or (method == "PROPPATCH" and target.member is not None):
            raise no_privilege(target.path)
        if method == "PROPPATCH":
            return await self._change(call, target)
        root, minimal = read_xml(body), _wants_minimal(call)
        if root is not None and root.tag == names.PRINCIPAL_SEARCH_PROPERTY_SET:
            # RFC 3744 §9.5: there is nothing by which principals could be searched.
            document = write_xml(make(names.PRINCIPAL_SEARCH_PROPERTY_SET))
            return web.Response(body=document, headers={**DAV_HEADERS, "Content-Type": XML})
        if root is not None and root.tag == names.FREE_BUSY_QUERY and method == "REPORT":
            return await self._free_busy(target, root)
        headers = {**DAV_HEADERS, "Content-Type": XML, "Vary": "Authorization, Brief, Prefer"}
        if minimal and "prefer" in call.request.headers:
            headers["Preference-Applied"] = "return=minimal"
        if method == "PROPFIND":
            return await send_multistatus(
                call, self._propfind(call, target, root=root, minimal=minimal), headers=headers
            )
        report = await self._reports.answer(target, root, minimal=minimal)
        return await send_multistatus(call, report.responses, headers=headers, sync_token=report.sync_token)

    async def _change(self, call: Call, target: Target) -> web.StreamResponse:
        root = read_xml(await read_any_body(call, self._limits.body_seconds))
        (itself,) = await self._resources(target, depth=0)
        answer = await change_properties(self._backend, target, resource=itself, root=root)
        return await send_multistatus(call, one(answer), headers={**DAV_HEADERS, "Content-Type": XML})

    async def _propfind(
        self, call: Call, target: Target, *, root: Element | None, minimal: bool
    ) -> AsyncIterator[MemberResponse]:
        try:
            asked = Propfind.from_xml(root)
        except BadRequestBody as error:
            raise bad_request(str(error), fix=_RFC4918) from error
        depth, kept = _depth(call, target), await self._backend.properties.of(target.keeps_as)
        for found in await self._resources(target, depth=depth):
            yield with_kept(found, kept).response(asked.properties, selection=asked.selection, minimal=minimal)

    async def _resources(self, target: Target, *, depth: int) -> Iterable[Resource]:
        """The target and, with Depth 1, its members."""
        me, owner, collection = target.me, target.owner, target.collection
        if owner is None:
            itself = starting_point(target.path, me)
            is_root = target.path.rstrip("/") + "/" == ROOT
            return [itself, await self._home(target, me)] if depth and is_root else [itself]
        if collection is None:
            return [await self._home(target, owner), *(self._calendars(target) if depth else ())]
        if target.member is None:
            href = collection_href(owner, collection)
            itself = next(found for found in self._calendars(target) if found.href == href)
            members = await self._backend.collections.members(collection) if depth else ()
            return (
                itself if member is None else member_resource(target, member.name, tag=member.tag, size=member.size)
                for member in (None, *members)
            )
        content = await self._backend.collections.content(collection, target.member)
        if content is None:
            raise nothing_here(details=target.details)
        size = len(content.payload)
        return [member_resource(target, target.member, tag=content.tag, size=size, data=content.payload)]

    async def _home(self, target: Target, name: str) -> Resource:
        facts, profile = HomeFacts(name, target.me, free_busy=target.free_busy), self._backend.profile(name)
        if profile is not None and profile.hours is not None:
            facts = replace(facts, availability=await self._hours.of(profile))
        return principal(replace(facts, addresses=self._backend.addresses_of(name) if target.details else ()))

    def _calendars(self, target: Target) -> list[Resource]:
        owner, me = target.owner or "", target.me
        return [
            calendar(
                owner,
                collection,
                order=order,
                me=me,
                max_bytes=self._limits.body_bytes,
                writable=self._members.may_write(replace(target, collection=collection)),
            )
            for order, collection in enumerate(target.collections, 1)
        ]

    async def _free_busy(self, target: Target, root: Element) -> web.StreamResponse:
        """RFC 4791 §7.10, of all that counts for a profile: on its home, and on the calendar of its blocked slots.

        On a linked calendar, of that one alone: who may read its events may know when they are.
        """
        profile, collection = self._backend.profile(target.owner or ""), target.collection
        alone = collection if collection is not None and collection.made is None else None
        if profile is None or target.member is not None or not (target.free_busy or alone is not None):
            raise PreconditionNotMet(names.SUPPORTED_REPORT, detail="free-busy-query is for calendars and their home")
        try:
            window = free_busy_window(root)
        except BadFilter as error:
            raise PreconditionNotMet(error.condition, detail=str(error)) from error
        if window.end - window.start > MAX_WINDOW:
            raise bad_request("the window is longer than 1000 days", fix="ask for a shorter one", name="bad-window")
        if alone is not None:
            answer = await self._backend.collections.freebusy(profile.name, alone, window=window)
        else:
            check_configured(profile)
            answer = answer_at_once(profile, window) or await self._backend.freebusy(profile.name, window)
        finished = vfreebusy(answer, self._backend.clock.now())
        return web.Response(body=finished.body, headers={**finished.headers, **DAV_HEADERS})

    async def _get(self, call: Call, target: Target) -> web.StreamResponse:
        if target.path.rstrip("/") == WELL_KNOWN:
            return web.Response(status=307, headers={**DAV_HEADERS, "Location": ROOT})
        if target.collection is None or target.member is None:
            text = "These are calendars for CalDAV apps. Enter this address in one, with a token as the password.\n"
            return web.Response(text=text, headers=DAV_HEADERS)
        content = await self._backend.collections.content(target.collection, target.member)
        if content is None:
            raise nothing_here(details=target.details)
        headers = {**DAV_HEADERS, "ETag": etag_of(content.tag)}
        if call.head.if_none_match and matches(call.head.if_none_match, headers["ETag"]):
            return web.Response(status=304, headers=headers)
        return web.Response(body=content.payload, headers={**headers, "Content-Type": CONTENT_TYPE})


_RFC4918: Final = "send a body as RFC 4918 describes it, or none at all"


def read_xml(body: bytes) -> Element | None:
    """The root element of a body; None when there is none. Raises HttpProblem."""
    if not body.strip():
        return None
    try:
        return parse_xml(body)
    except NotXml as error:
        message = f"the body cannot be read: {error}"
        raise bad_request(message, fix=_RFC4918) from error


def _depth(call: Call, target: Target) -> int:
    """0 or 1. Raises HttpProblem for infinity, which a request without the field means (RFC 4918 §9.1)."""
    written = call.request.headers.get("Depth", "").strip().lower()
    if written in ("0", "1"):
        return int(written)
    if not written and target.path.rstrip("/") == WELL_KNOWN:
        return 0  # QUIRK(tsdav): no Depth on the very first request
    if written in ("", "infinity"):
        raise PreconditionNotMet(names.PROPFIND_FINITE_DEPTH, detail="a PROPFIND needs Depth 0 or 1")
    raise bad_request("Depth must be 0 or 1", fix="send `Depth: 0` or `Depth: 1`")


def _wants_minimal(call: Call) -> bool:
    """RFC 8144 §2.1, or Brief as Microsoft and Apple have it: properties that are missing need not be listed."""
    preferences = call.request.headers.get("Prefer", "").lower().replace(" ", "").replace('"', "")
    return "return=minimal" in preferences.split(",") or call.request.headers.get("Brief", "").strip().lower() == "t"
