"""Calendar objects as bytes: fetched in batches or one by one, written and deleted conditionally.

Payloads are not parsed here.
"""

from collections.abc import Sequence

from msgspec import Struct

from busyd.dav import names
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import (
    DavRequest,
    DavResponse,
    LongAnswer,
    Operation,
    first_precondition,
    raise_for_status,
    read_multistatus,
    report,
)
from busyd.dav.href import ETag, Href, normalise_href
from busyd.dav.multistatus import MemberResponse
from busyd.dav.request import CalendarMultiget


class FetchedObject(Struct, frozen=True):
    """One calendar object resource in its current state on the server."""

    href: Href
    etag: ETag
    """Empty if the server sent none."""
    payload: bytes
    """UTF-8 iCalendar with CRLF line ends: XML turns them into LF, a GET does not, and both must compare equal."""


class Fetched(Struct, frozen=True):
    """The result of one multiget; every requested href is in exactly one of the three."""

    objects: tuple[FetchedObject, ...] = ()
    vanished: frozenset[Href] = frozenset()
    """Members with a response-level 404."""
    missing: frozenset[Href] = frozenset()
    """Not in the response, or with any other status: that proves nothing, so GET them one by one."""


class MultigetAnswer(LongAnswer, frozen=True):
    """The response to a multiget, to be parsed by `read_multiget` into a `Fetched`."""

    asked: tuple[Href, ...]


class Written(Struct, frozen=True):
    """The server did it. `etag` is None if it sent none, because it changed the text or for no reason."""

    etag: ETag | None = None


class Refused(Struct, frozen=True):
    """The server did not do it: 412 for a failed condition, 403 or 409 with the local name of the precondition."""

    status: int
    precondition: str | None = None


WriteOutcome = Written | Refused


def fetch_objects(calendar: str, hrefs: Sequence[str]) -> Operation[Fetched]:
    """One calendar-multiget (RFC 4791 §7.9) for all hrefs, at most 50 of them. No hrefs, no request.

    They are sent as they are spelled; the result names them in canonical form.
    """
    spelled = {normalise_href(href): href for href in hrefs}
    asked = tuple(spelled)
    if not asked:
        return Fetched()
    body = CalendarMultiget(tuple(spelled.values()))
    response = yield report(calendar, depth="1", body=body, answer=MultigetAnswer(asked))
    return response.parsed if isinstance(response.parsed, Fetched) else read_multiget(asked, response)


def read_multiget(asked: Sequence[Href], response: DavResponse) -> Fetched:
    """The objects in the response to it. Raises MalformedResponse, and the errors of a status other than 207."""
    objects: dict[Href, FetchedObject] = {}
    vanished: set[Href] = set()
    for member in read_multistatus(response).responses:
        fetched = _object(member)
        if fetched is not None:
            objects[member.href] = fetched
        elif member.status in (404, 410):
            vanished.add(member.href)
    gone = vanished - objects.keys()
    return Fetched(
        tuple(objects[href] for href in asked if href in objects),
        frozenset(href for href in asked if href in gone),
        frozenset(href for href in asked if href not in objects and href not in gone),
    )


def fetch_object(href: str) -> Operation[FetchedObject | None]:
    """GET one object, complete as stored. None only on 404 and 410, which prove that it is gone."""
    response = yield DavRequest("GET", href)
    if response.status in (404, 410):
        return None
    if response.status != 200:
        raise_for_status(response)
    payload = _line_ends(response.body.removeprefix(b"\xef\xbb\xbf").strip(b"\r\n\t "))
    if not payload or payload.startswith(b"<"):
        raise MalformedResponse(response.host, "it sent a web page or nothing instead of an event", status=200)
    return FetchedObject(normalise_href(href), ETag(response.header("ETag") or ""), payload + b"\r\n")


def put_object(
    href: str, payload: bytes, *, if_match: ETag | None = None, if_none_match: bool = False
) -> Operation[WriteOutcome]:
    """PUT one object: create it (`if_none_match`) or replace it (`if_match`, verbatim). ValueError without either.

    `If-Match: *` is never sent: iCloud inverts its meaning.
    """
    if (if_match is None) is not if_none_match:
        raise ValueError("a write needs exactly one condition")
    condition = ("If-None-Match", "*") if if_none_match else ("If-Match", str(if_match))
    headers = (("Content-Type", "text/calendar; charset=utf-8"), condition)
    response = yield DavRequest("PUT", href, headers=headers, body=payload)
    if response.status in (200, 201, 204):
        etag = response.header("ETag")
        return Written(ETag(etag) if etag else None)
    return _refusal(response)


def delete_object(href: str, if_match: ETag | None) -> Operation[WriteOutcome]:
    """DELETE one object if it is unchanged. Already gone (404, 410) counts as done."""
    headers = (("If-Match", str(if_match)),) if if_match else ()
    response = yield DavRequest("DELETE", href, headers=headers)
    if response.status in (200, 204, 404, 410):
        return Written()
    return _refusal(response)


def move_object(href: str, destination: str, *, if_match: ETag, overwrite: bool) -> Operation[WriteOutcome]:
    """MOVE one object that is unchanged to another path of the same server (RFC 4918 §9.9)."""
    headers = (("Destination", destination), ("Overwrite", "T" if overwrite else "F"), ("If-Match", str(if_match)))
    response = yield DavRequest("MOVE", href, headers=headers)
    if response.status in (201, 204):
        return Written()
    return _refusal(response)


def _refusal(response: DavResponse) -> Refused:
    """A definite refusal is a value, and so is a redirect that was not followed; the rest (401, 429, 5xx) is raised."""
    if response.status not in (301, 302, 303, 307, 308, 400, 403, 404, 405, 409, 412, 413, 415, 422, 507):
        raise_for_status(response)
    return Refused(response.status, first_precondition(response))


def _object(member: MemberResponse) -> FetchedObject | None:
    data = member.find(names.CALENDAR_DATA)
    if data is None or (member.status is not None and member.status >= 300):
        return None
    payload = data.text.strip("\r\n\t ")
    if not payload:
        return None
    etag = ETag(member.text(names.GETETAG) or "")
    return FetchedObject(member.href, etag, _line_ends(payload.encode()) + b"\r\n")


def _line_ends(payload: bytes) -> bytes:
    return payload.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
