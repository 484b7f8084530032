"""PUT, DELETE and MOVE of members (RFC 4791 §5.3.2), and what an app is told when they are refused."""

import re
from typing import Final
from urllib.parse import unquote

from busyd.dav import names
from busyd.dav.href import normalise_href
from busyd.dav.xml import make
from busyd.flow.writing import Conditions, NotWritten, ObjectWriter, Obstacle, Place, WrittenMember
from busyd.http import web
from busyd.http.caldav.refusals import DAV_HEADERS, PreconditionNotMet, no_privilege
from busyd.http.caldav.resources import collection_href, etag_of
from busyd.http.caldav.target import Target, nothing_here
from busyd.http.call import Call
from busyd.http.problem import HttpProblem, bad_request
from busyd.http.request_body import BodyTooLarge, read_any_body

_TAG: Final = re.compile(r'(?:W/)?"[^"]*"|[^,\s]+')
_RETRY_AFTER: Final = "60"


class MemberWriter:
    """Answers PUT, DELETE and MOVE."""

    def __init__(self, writer: ObjectWriter, *, body_seconds: float) -> None:
        self._writer = writer
        self._body_seconds = body_seconds

    def may_write(self, target: Target) -> bool:
        """Whether the caller may write to the collection of a target."""
        return target.collection is not None and target.book and self._writer.is_writable(target.collection)

    async def write(self, call: Call, target: Target) -> web.StreamResponse:
        """Raises HttpProblem, StorageError."""
        collection, name = target.collection, target.member
        if collection is None or name is None:
            raise no_privilege(target.path)
        conditions = _conditions(call)
        try:
            if not self.may_write(target):
                raise no_privilege(target.path)
            if call.request.method == "MOVE":
                return await self._move(call, target, conditions=conditions)
            if call.request.method == "DELETE":
                await self._writer.delete(collection, name, conditions=conditions)
                return web.Response(status=204, headers=DAV_HEADERS)
            payload = await self._payload(call)
            written = await self._writer.put(collection, name, payload=payload, conditions=conditions)
        except NotWritten as error:
            raise _problem(error, target) from error
        except HttpProblem:
            await self._writer.refuse(collection, name)
            raise
        return _done(written)

    async def _move(self, call: Call, target: Target, *, conditions: Conditions) -> web.StreamResponse:
        """RFC 4918 §9.9. Of the Destination only the path counts: a proxy may have another name."""
        assert target.collection is not None
        assert target.member is not None
        owner, segment, name = _place_in(call.request.headers.get("Destination", ""))
        found = next((one for one in target.collections if one.segment == segment), None)
        if found is None or owner != target.owner:
            raise no_privilege(target.path)
        overwrite = call.request.headers.get("Overwrite", "T").strip().upper() != "F"
        source = Place(target.collection, target.member)
        moved = await self._writer.move(source, Place(found, name), overwrite=overwrite, conditions=conditions)
        return _done(moved)

    async def _payload(self, call: Call) -> bytes:
        if call.head.content_type not in ("", "text/calendar", "application/octet-stream"):
            raise PreconditionNotMet(names.SUPPORTED_CALENDAR_DATA, detail="only text/calendar can be written here")
        try:
            return await read_any_body(call, self._body_seconds)
        except BodyTooLarge as error:
            raise PreconditionNotMet(names.MAX_RESOURCE_SIZE, detail=str(error)) from error


def _done(written: WrittenMember) -> web.Response:
    headers = dict(DAV_HEADERS)
    if written.is_verbatim:
        headers["ETag"] = etag_of(written.tag)
    return web.Response(status=201 if written.is_new else 204, headers=headers)


def _place_in(destination: str) -> tuple[str, str, str]:
    """Profile, segment of the calendar, and name of the member. Raises HttpProblem."""
    parts = normalise_href(destination).split("/") if destination.strip() else []
    if len(parts) != 5 or parts[1] != "dav" or not parts[4]:
        raise bad_request("the Destination is no event of a calendar here", fix="send the address of the event to be")
    return unquote(parts[2]), parts[3], parts[4]


def _conditions(call: Call) -> Conditions:
    lines = call.request.headers.getall("If-Match", [])
    tags = _TAG.findall(",".join(lines)) or lines  # an empty list names no version: it never holds
    others = _TAG.findall(call.head.if_none_match)
    return Conditions(tuple(tags), absent="*" in others, others=tuple(others))


def _problem(error: NotWritten, target: Target) -> HttpProblem:
    match error.obstacle:
        case Obstacle.NO_PRIVILEGE:
            return no_privilege(target.path)
        case Obstacle.CONDITION:
            return HttpProblem(
                "changed-meanwhile",
                412,
                detail=str(error),
                fix="read the event again, then change it",
                headers=DAV_HEADERS,
            )
        case Obstacle.ABSENT:
            return nothing_here(details=target.details)
        case Obstacle.UNAVAILABLE:
            return HttpProblem(
                "unavailable",
                503,
                detail=str(error),
                fix="try again in a minute; until then nothing has changed",
                headers={**DAV_HEADERS, "Retry-After": _RETRY_AFTER},
            )
        case Obstacle.UID_CONFLICT:
            assert target.owner is not None
            assert target.collection is not None
            other = make(names.HREF, collection_href(target.owner, target.collection) + error.other)
            children = (other,) if error.other else ()
            return PreconditionNotMet(names.caldav(error.obstacle.value), *children, detail=str(error))
        case Obstacle.NO_SPACE:
            return PreconditionNotMet(names.dav(error.obstacle.value), detail=str(error), status=507)
    return PreconditionNotMet(names.caldav(error.obstacle.value), detail=str(error))
