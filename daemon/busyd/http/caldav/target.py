"""What a request of the CalDAV server is about."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from busyd.credentials.tokens import ALL_PROFILES
from busyd.flow.backend import Backend
from busyd.flow.collections import CollectionView
from busyd.http.auth import login_needed
from busyd.http.caldav.blocked import SEGMENT, BlockedSlots
from busyd.http.caldav.refusals import no_privilege
from busyd.http.caldav.resources import Resource, calendar_object, collection_href
from busyd.http.call import Call
from busyd.http.problem import HttpProblem, unknown_profile

_GUESSED: Final = "principals"
"""macOS looks for a principal in /dav/principals/ when nothing else has led to one; a profile of that name has it."""


class Target(Struct, frozen=True):
    """The resource that a path names, and who asks for it."""

    path: str
    """As it came, without its query."""
    me: str
    """The profile whose principal the caller is."""
    owner: str | None = None
    """The profile it belongs to; None where only the way to the principal is."""
    collections: Sequence[CollectionView] = ()
    """Those of the owner that the caller may see."""
    collection: CollectionView | None = None
    free_busy: bool = False
    """The caller may ask when the owner is busy."""
    details: bool = False
    """The caller may know more than that."""
    book: bool = False
    """The caller may write."""
    writable: bool = False
    """The caller may write to the collection."""
    member: str | None = None
    """The name of a member, percent-encoded as in its href."""
    keeps_as: str = ""
    """Whose properties the caller sees and changes: of those who may read the calendars the profile's; else its own,
    so that nobody who may only know when somebody is busy renames a calendar."""


def member_resource(
    target: Target, name: str, *, tag: str, size: int | None = None, data: bytes | None = None
) -> Resource:
    """A member of the target's collection, as `calendar_object` makes it."""
    assert target.owner is not None
    assert target.collection is not None
    href = collection_href(target.owner, target.collection) + name
    return calendar_object(
        href, tag, profile=target.owner, me=target.me, size=size, data=data, writable=target.writable
    )


async def find_target(call: Call, backend: Backend, *, blocked: BlockedSlots) -> Target:
    """The target of a request. Raises HttpProblem when there is none that the caller may know of."""
    path = call.request.raw_path.partition("?")[0].partition("#")[0]
    me = await _principal_of(call, backend)
    owner = call.values.get("owner")
    is_guess = owner == _GUESSED and "collection" not in call.values and backend.profile(_GUESSED) is None
    if owner is None or is_guess:
        may = call.caller.may
        return Target(path, me, free_busy=may("freebusy"), details=may("details"), keeps_as=_keeps_as(call, me))
    profile = backend.profile(owner)
    if not call.caller.sees(owner) or profile is None:
        raise unknown_profile(owner)
    segment, member = call.values.get("collection"), call.values.get("member")
    # Titles and places are in everything there is to read of a calendar.
    seen = await backend.collections.of(owner) if call.caller.may("details") else []
    lists = segment is None and call.request.headers.get("Depth", "").strip() == "1"
    if call.caller.may("freebusy") and (lists or segment == SEGMENT):
        slots = await blocked.of(profile)
        seen += [slots] if slots is not None else []
    found = next((collection for collection in seen if collection.segment == segment), None)
    if segment is not None and found is None:
        if call.request.method in ("MKCALENDAR", "MKCOL"):
            raise no_privilege(path)
        raise nothing_here(details=call.caller.may("details"))
    return Target(
        path,
        me,
        owner,
        seen,
        found,
        free_busy=call.caller.may("freebusy"),
        details=call.caller.may("details"),
        book=call.caller.may("book"),
        member=quote(member, safe="") if member is not None else None,
        keeps_as=_keeps_as(call, owner),
    )


def _keeps_as(call: Call, profile: str) -> str:
    token = call.caller.token
    return profile if token is None or call.caller.may("details") else f"{profile}/{token.id}"


async def _principal_of(call: Call, backend: Backend) -> str:
    """The profile of the token; for one of all profiles that which the user name names, else the first."""
    token = call.caller.token
    if token is None:
        raise login_needed(basic=True)
    if token.profile != ALL_PROFILES:
        if backend.profile(token.profile) is None:
            raise unknown_profile(token.profile)
        return token.profile
    user = call.head.basic[0] if call.head.basic is not None else ""
    if user and backend.profile(user) is not None:
        return user
    first = next(iter(await backend.profiles()), None)
    if first is None:
        raise nothing_here(details=call.caller.may("details"))
    return first.name


def nothing_here(*, details: bool) -> HttpProblem:
    """404: also for a calendar that the token may not see. `details`: it has the scope to see calendars."""
    if details:
        fix = "PROPFIND on the address above this one lists what is there"
        return HttpProblem("not-found", 404, detail="there is nothing at this address", fix=fix)
    return HttpProblem(
        "not-found",
        404,
        detail="there is nothing at this address, or nothing that this token may see",
        fix="the calendars of a profile need a token with the scope details: `busyd token add PROFILE --scope details`",
    )
