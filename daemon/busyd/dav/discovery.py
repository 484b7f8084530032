"""From a URL and a login to calendar homes: the principal (RFC 5397) and its calendar home set (RFC 4791 §6.2.1).

The URL is what the person means: one calendar is that calendar, a home or a collection with calendars in it is those, a
principal is its home set. Only a server's root stands for the login's own homes (RFC 6764 §5): a calendar that is not
there must never turn into somebody else's.
"""

from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.errors import DavError, LoginRefused, MalformedResponse
from busyd.dav.exchange import DavResponse, Operation, failure, propfind, read_multistatus
from busyd.dav.href import Href, normalise_href, resolve_url, same_resource
from busyd.dav.listing import list_calendars
from busyd.dav.multistatus import MemberResponse
from busyd.errors import RemoteError

_WHO: Final = (
    names.CURRENT_USER_PRINCIPAL,
    names.RESOURCETYPE,
    names.CALENDAR_HOME_SET,
    names.CALENDAR_USER_ADDRESS_SET,
)
_HOME: Final = (names.CALENDAR_HOME_SET, names.CALENDAR_USER_ADDRESS_SET, names.DISPLAYNAME)
_WELL_KNOWN: Final = "/.well-known/caldav"
_ELSEWHERE: Final = frozenset({400, 403, 404, 405, 410, 501})
"""Statuses of a host that serves CalDAV at another path (RFC 6764 §5)."""


class Account(Struct, frozen=True):
    """What a URL and a login give access to."""

    principal: Href
    """The login's; empty if the server names none."""
    homes: tuple[str, ...]
    """Absolute URLs of the collections whose members are the calendars, at least one; on iCloud on a shard host, which
    is only a hint."""
    addresses: tuple[str, ...] = ()
    """calendar-user-address-set (RFC 6638 §2.4.1) as sent, the preferred one first: how events refer to this person."""
    is_single: bool = False
    """The URL is itself a calendar: it is the only home, and the only calendar."""


def discover_account(root_url: str) -> Operation[Account]:
    """Find the calendars that a URL means, in two or three requests, and one more where the URL is not quite right.

    Raises LoginRefused on 401 and when the server treats the request as unauthenticated, MalformedResponse when there
    are no calendars to be had, and the errors of `raise_for_status`.
    """
    response = yield propfind(root_url, depth="0", properties=_WHO)
    other = resolve_url(root_url, _WELL_KNOWN) if _is_root(root_url) else _with_slash(root_url)
    if other and other != root_url and _is_elsewhere(response):
        # When that fails too, the error should name the configured address.
        with suppress(RemoteError):
            fallback = yield propfind(other, depth="0", properties=_WHO)
            response = fallback if fallback.status == 401 or not _is_elsewhere(fallback) else response
    resource = _only_response(response)
    who = resource.find(names.CURRENT_USER_PRINCIPAL)
    if who is not None and who.child(names.UNAUTHENTICATED) is not None:
        raise LoginRefused(response.host, status=None, reason="the server treats the request as unauthenticated")
    principal = next(iter(who.hrefs()), None) if who is not None else None
    own, itself = _homes(resource, response), resolve_url(response.url, resource.href, collection=True)
    types = _types(resource)
    if names.CALENDAR in types:
        _, addresses = yield from _ask_principal(response, principal)
        return Account(_principal_href(principal), (itself,), addresses, is_single=True)
    is_principal = names.PRINCIPAL in types or (principal is not None and same_resource(principal, response.url))
    if own and (is_principal or principal is None):
        return Account(_principal_href(principal), own, _addresses(resource))
    if principal is None and names.COLLECTION in types:
        # No principal and no home set: a server that simply has calendars below this collection.
        return Account(Href(""), (itself,), _addresses(resource))
    if principal is None:
        raise MalformedResponse(response.host, "it names no calendar home for this login", status=response.status)
    return (yield from _look_around(root_url, response, principal=principal, itself=itself))


def _look_around(root_url: str, response: DavResponse, *, principal: str, itself: str) -> Operation[Account]:
    """What a URL means that is neither a calendar nor a principal: the calendars in it, or the login's own."""
    is_root = _is_root(root_url)
    has_calendars = not is_root and (yield from _has_calendars(itself))
    homes, addresses = yield from _ask_principal(response, principal, required=is_root)
    if has_calendars or any(same_resource(home, itself) for home in homes):
        return Account(_principal_href(principal), (itself,), addresses)
    if homes and (is_root or _contains(root_url, principal, *homes)):
        return Account(_principal_href(principal), homes, addresses)
    reason = "it names no calendar home for this login" if is_root else "there are no calendars at this address"
    raise MalformedResponse(response.host, reason, status=response.status)


def _is_root(url: str) -> bool:
    """Whether a URL stands for a server as a whole."""
    return urlsplit(url).path.rstrip("/") in ("", _WELL_KNOWN)


def _with_slash(url: str) -> str:
    """The collection that a URL without its last slash may mean (RFC 4918 §5.2); empty where it ends in one."""
    parts = urlsplit(url)
    return "" if parts.path.endswith("/") or parts.query else f"{url}/"


def _contains(url: str, *others: str) -> bool:
    """Whether a URL is the root of CalDAV on its server: the login's principal and homes all lie below it."""
    path = normalise_href(url, collection=True)
    return all(normalise_href(other).startswith(path) for other in others)


def _has_calendars(url: str) -> Operation[bool]:
    try:
        return bool((yield from list_calendars(url)).calendars)
    except LoginRefused:
        raise
    except DavError:
        return False


def _is_elsewhere(response: DavResponse) -> bool:
    """Whether there is no CalDAV at this path: it is refused, or there is a web page.

    QUIRK(xandikos): an unknown path gets a 207 that contains nothing but a 404.
    """
    status = response.status
    if status == 207:
        try:
            responses = read_multistatus(response).responses
        except MalformedResponse:
            return True
        status = responses[0].status or status if responses else status
    return status in _ELSEWHERE or (status < 400 and status != 207)


def _only_response(response: DavResponse) -> MemberResponse:
    """QUIRK(icloud): the principal may call itself `/principal/`, so with Depth 0 the only response is taken."""
    responses = read_multistatus(response).responses
    if not responses:
        raise MalformedResponse(response.host, "the multistatus is empty", status=response.status)
    only = responses[0]
    if only.status is not None and only.status >= 400:
        raise failure(replace(response, status=only.status, body=b""))
    return only


def _ask_principal(
    response: DavResponse, principal: str | None, *, required: bool = False
) -> Operation[tuple[tuple[str, ...], tuple[str, ...]]]:
    """The homes and the addresses of a login. Unless `required`, a principal that does not answer has none."""
    if principal is None:
        return (), ()
    answer = yield propfind(resolve_url(response.url, principal), depth="0", properties=_HOME)
    if answer.status != 207 and not required:
        return (), ()
    resource = _only_response(answer)
    return _homes(resource, answer), _addresses(resource)


def _homes(resource: MemberResponse, response: DavResponse) -> tuple[str, ...]:
    """Every home that a resource names, in the order of the server."""
    home_set = resource.find(names.CALENDAR_HOME_SET)
    hrefs = home_set.hrefs() if home_set is not None else ()
    return tuple(dict.fromkeys(resolve_url(response.url, href, collection=True) for href in hrefs))


def _types(resource: MemberResponse) -> frozenset[str]:
    resourcetype = resource.find(names.RESOURCETYPE)
    return frozenset(child.name for child in resourcetype.children) if resourcetype is not None else frozenset()


def _addresses(resource: MemberResponse) -> tuple[str, ...]:
    addresses = resource.find(names.CALENDAR_USER_ADDRESS_SET)
    if addresses is None:
        return ()
    hrefs = [child for child in addresses.children if child.name == names.HREF and child.text.strip()]
    hrefs.sort(key=lambda href: ("preferred", "1") not in href.attributes)
    return tuple(href.text.strip() for href in hrefs)


def _principal_href(principal: str | None) -> Href:
    return normalise_href(principal, collection=True) if principal else Href("")
