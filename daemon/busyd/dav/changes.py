"""What changed inside a calendar: the sync-collection report (RFC 6578), or a listing of all members with their ETags.

Both say which resources differ, not what they contain; payloads are `objects.py`.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.errors import InvalidSyncToken, MalformedResponse, SyncUnsupported
from busyd.dav.exchange import (
    DavResponse,
    LongAnswer,
    Operation,
    failure,
    preconditions,
    propfind,
    raise_for_status,
    read_members,
    report,
)
from busyd.dav.href import ETag, Href, spellings
from busyd.dav.multistatus import MemberResponse, SyncToken
from busyd.dav.request import SyncCollection, WindowQuery
from busyd.period import Period

_UNSUPPORTED: Final = frozenset({400, 405, 415, 501, 507})
"""How servers say that they do not support the report, or (507) that they cannot deliver it in one response."""
_PART: Final = 500
"""Members of a long answer that are handed on at once."""


class SyncDelta(Struct, frozen=True):
    """The difference between a token and now."""

    changed: dict[Href, ETag]
    """New and changed members; the ETag is empty if the server did not send one (fetch the member in any case).

    May contain members that did not change: a server may answer an old token with everything.
    """
    vanished: frozenset[Href]
    """Members with a 404; some may never have been known here."""
    token: str | None
    """To be stored once every payload of this delta has been; None when the server sent none."""
    truncated: bool = False
    """There is more: ask again with this token (RFC 6578 §3.6)."""
    itself: bool = False
    """The collection was listed among its members, as Apple's servers do: then no members means that it is empty."""
    spelled: dict[Href, str] = field(default_factory=dict)
    """How the server spells those of its hrefs that it does not write in canonical form."""


class Members(Struct, frozen=True):
    """All members of a calendar."""

    etags: dict[Href, ETag]
    """Empty where the server sent none."""
    spelled: dict[Href, str] = field(default_factory=dict)
    """How the server spells those of its hrefs that it does not write in canonical form."""
    truncated: bool = False
    """There is more (a 507 in any row): what is not here is not proved to be absent."""


class SyncAnswer(LongAnswer, frozen=True):
    """The response to a sync-collection report, to be parsed by `read_sync_report` into a `SyncDelta`."""

    calendar: str
    token: str | None


def sync_collection(calendar: str, token: str | None) -> Operation[SyncDelta]:
    """Changes since the token, or all members without one.

    Only the ETag is requested: iCloud and Apple's server refuse calendar-data here. Raises InvalidSyncToken (start over
    without one), SyncUnsupported (use `list_members`), MalformedResponse, and the errors of `raise_for_status`. A 5xx
    says nothing about the token; a caller that meets it repeatedly drops the token.
    """
    response = yield report(calendar, depth="0", body=SyncCollection(token), answer=SyncAnswer(calendar, token))
    return (
        response.parsed
        if isinstance(response.parsed, SyncDelta)
        else read_sync_report(calendar, token, response=response)
    )


def read_sync_report(calendar: str, token: str | None, *, response: DavResponse) -> SyncDelta:
    """The delta in the response to it. Raises like `sync_collection`."""
    from busyd.cooperative import in_one_go  # brings asyncio along, which the worker does without

    return in_one_go(join_deltas(read_sync_parts(calendar, token, response=response)))


def read_sync_parts(calendar: str, token: str | None, *, response: DavResponse) -> Iterator[SyncDelta]:
    """The same in parts, of which only the last one has a token: nothing of them counts before that."""
    if response.status != 207:
        _refuse(response, token)
    new: str | None = None
    part = SyncDelta({}, frozenset(), None)
    vanished: set[Href] = set()
    truncated = itself = names_others = False
    # QUIRK(icloud): most reports on a collection list the collection, with or without the slash.
    selves = spellings(calendar, response.url)
    own: list[MemberResponse] = []
    for member in read_members(response):
        if isinstance(member, SyncToken):
            new = member.token
            continue
        if member.href in selves:
            own.append(member)
        else:
            names_others = True
        if member.status == 507:
            truncated = True  # whatever it stands for: something is left out
            itself = itself or member.href in selves
        elif member.href in selves:
            itself = True
        elif member.status in (404, 410):
            vanished.add(member.href)
        elif not (href := member.href).endswith("/"):
            part.changed[href] = _etag(member)
            if member.spelling != href:
                part.spelled[href] = member.spelling
            if len(part.changed) >= _PART:
                yield part
                part = SyncDelta({}, frozenset(), None)
    if not names_others:
        _check_itself(own, response)
    if new is None:
        raise MalformedResponse(response.host, "its list of changes has no sync token", status=207)
    if truncated and new == token:
        raise MalformedResponse(
            response.host, "the result is truncated but has no new sync token to continue with", status=207
        )
    yield replace(part, vanished=frozenset(vanished), token=new, truncated=truncated, itself=itself)


def join_deltas(parts: Iterable[SyncDelta]) -> Generator[None, None, SyncDelta]:
    """The delta that these are the parts of. Yields between parts."""
    changed: dict[Href, ETag] = {}
    spelled: dict[Href, str] = {}
    last = SyncDelta({}, frozenset(), None)
    for last in parts:
        changed |= last.changed
        spelled |= last.spelled
        yield
    # A member listed both as present and as gone counts as present; fetching it will decide.
    return replace(last, changed=changed, vanished=frozenset(last.vanished - changed.keys()), spelled=spelled)


def list_members(calendar: str) -> Operation[Members]:
    """Every member of the calendar; sub-collections are left out.

    Raises MalformedResponse for a listing with neither a member nor the calendar itself: an empty calendar still lists
    itself, so such a listing proves nothing. Nor does one of other collections: that of its home, in which it is, too.
    """
    properties = (names.GETETAG, names.RESOURCETYPE, names.GETCONTENTTYPE)
    response = yield propfind(calendar, depth="1", properties=properties)
    selves, own, is_empty = spellings(calendar, response.url), list[MemberResponse](), True
    inside = tuple(href for href in selves if href.endswith("/"))
    members = Members({})
    truncated = is_elsewhere = False
    for member in read_members(response):
        if isinstance(member, SyncToken):
            continue
        is_empty, truncated = False, truncated or member.status == 507
        if member.href in selves:
            own.append(member)
        elif not _is_object(member):
            is_elsewhere = is_elsewhere or not member.href.startswith(inside)
        else:
            members.etags[member.href] = _etag(member)
            if member.spelling != member.href:
                members.spelled[member.href] = member.spelling
    if is_empty:
        raise MalformedResponse(response.host, "the listing is empty, even without the calendar itself", status=207)
    if is_elsewhere and not members.etags:
        raise MalformedResponse(response.host, "the listing of a calendar is one of other collections", status=207)
    _check_itself(own, response)
    return replace(members, truncated=truncated)


def list_within(calendar: str, window: Period) -> Operation[tuple[str, ...]]:
    """The members that a server says touch a window, as it spells them: a hint, as servers differ in what they find."""
    response = yield report(calendar, depth="1", body=WindowQuery(window))
    selves = spellings(calendar, response.url)
    rows = (row for row in read_members(response) if isinstance(row, MemberResponse))
    return tuple(row.spelling for row in rows if row.href not in selves and _is_object(row))


def _check_itself(rows: Sequence[MemberResponse], response: DavResponse) -> None:
    """Raise the error that the collection's own row stands for. QUIRK(xandikos): a 404 may come within a 207."""
    statuses = [member.status or 200 for member in rows]
    if statuses and all(status >= 400 and status != 507 for status in statuses):
        raise failure(replace(response, status=statuses[0], body=b""))


def _refuse(response: DavResponse, token: str | None) -> None:
    """Raise the error that a sync report without a multistatus stands for."""
    status, told = response.status, preconditions(response)
    if names.VALID_SYNC_TOKEN in told and token is not None:
        raise InvalidSyncToken(response.host, status=status)
    if names.SUPPORTED_REPORT in told or names.NUMBER_OF_MATCHES_WITHIN_LIMITS in told or status in _UNSUPPORTED:
        raise SyncUnsupported(response.host, status=status)
    # QUIRK(icloud): an expired token may be an empty 403; without a token, a 403 is a real refusal.
    if token is not None and (status in (409, 410) or (status == 403 and names.NEED_PRIVILEGES not in told)):
        raise InvalidSyncToken(response.host, status=status)
    raise_for_status(response)


def _etag(member: MemberResponse) -> ETag:
    return ETag(member.text(names.GETETAG) or "")


def _is_object(member: MemberResponse) -> bool:
    """Neither gone nor a collection. The content type is too often wrong or missing to be used."""
    if member.status in (404, 410, 507) or member.href.endswith("/"):
        return False
    resourcetype = member.find(names.RESOURCETYPE)
    return resourcetype is None or resourcetype.child(names.COLLECTION) is None
