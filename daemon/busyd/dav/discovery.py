"""From a URL and a login to the calendar home: the principal (RFC 5397), then its calendar home set (RFC 4791 §6.2.1).

The URL may be a server's root, the principal, a calendar home, or one calendar.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.dav import names
from busyd.dav.errors import LoginRefused, MalformedResponse
from busyd.dav.exchange import DavResponse, Operation, failure, propfind, read_multistatus
from busyd.dav.href import Href, normalise_href, resolve_url, same_resource
from busyd.dav.multistatus import MemberResponse, Property

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
    """What a login gives access to."""

    principal: Href
    """Empty if the server names none."""
    home: str
    """Absolute URL of the collection whose members are the calendars; on iCloud a shard host, which is only a hint."""
    addresses: tuple[str, ...] = ()
    """calendar-user-address-set (RFC 6638 §2.4.1) as sent, the preferred one first: how events refer to this person."""
    is_single: bool = False
    """The URL is itself a calendar: `home` is that calendar, and it is the only one."""


def discover_account(root_url: str) -> Operation[Account]:
    """Find the account behind a URL in at most three requests.

    Raises LoginRefused on 401 and when the server treats the request as unauthenticated, MalformedResponse when there
    is no calendar account, and the errors of `raise_for_status`.
    """
    response = yield propfind(root_url, depth="0", properties=_WHO)
    if _is_elsewhere(response):
        fallback = yield propfind(resolve_url(root_url, _WELL_KNOWN), depth="0", properties=_WHO)
        # When that fails too, the error should name the configured address.
        response = fallback if fallback.status in (207, 401) else response
    resource = _only_response(response)
    who = resource.find(names.CURRENT_USER_PRINCIPAL)
    if who is not None and who.child(names.UNAUTHENTICATED) is not None:
        raise LoginRefused(response.host, status=None, reason="the server treats the request as unauthenticated")
    principal = _first_href(who)
    resourcetype = resource.find(names.RESOURCETYPE)
    if resourcetype is not None and resourcetype.child(names.CALENDAR) is not None:
        addresses = yield from _addresses_of(response, principal)
        home = resolve_url(response.url, resource.href, collection=True)
        return Account(_principal_href(principal), home, addresses, is_single=True)
    if principal is not None and not same_resource(principal, response.url):
        response = yield propfind(resolve_url(response.url, principal), depth="0", properties=_HOME)
        resource = _only_response(response)
    home_set = _first_href(resource.find(names.CALENDAR_HOME_SET))
    addresses = _addresses(resource)
    if home_set is not None:
        return Account(_principal_href(principal), resolve_url(response.url, home_set, collection=True), addresses)
    if principal is None and resourcetype is not None and resourcetype.child(names.COLLECTION) is not None:
        # No principal and no home set: a server that simply has calendars below this collection.
        return Account(Href(""), resolve_url(response.url, resource.href, collection=True), addresses)
    raise MalformedResponse(response.host, "it names no calendar home for this login", status=response.status)


def _is_elsewhere(response: DavResponse) -> bool:
    """QUIRK(xandikos): an unknown path gets a 207 that contains nothing but a 404."""
    status = response.status
    if status == 207:
        responses = read_multistatus(response).responses
        status = responses[0].status or status if responses else status
    return status in _ELSEWHERE


def _only_response(response: DavResponse) -> MemberResponse:
    """QUIRK(icloud): the principal may call itself `/principal/`, so with Depth 0 the only response is taken."""
    responses = read_multistatus(response).responses
    if not responses:
        raise MalformedResponse(response.host, "the multistatus is empty", status=response.status)
    only = responses[0]
    if only.status is not None and only.status >= 400:
        raise failure(replace(response, status=only.status, body=b""))
    return only


def _addresses_of(response: DavResponse, principal: str | None) -> Operation[tuple[str, ...]]:
    if principal is None:
        return ()
    answer = yield propfind(resolve_url(response.url, principal), depth="0", properties=_HOME)
    return _addresses(_only_response(answer)) if answer.status == 207 else ()


def _addresses(resource: MemberResponse) -> tuple[str, ...]:
    addresses = resource.find(names.CALENDAR_USER_ADDRESS_SET)
    if addresses is None:
        return ()
    hrefs = [child for child in addresses.children if child.name == names.HREF and child.text.strip()]
    hrefs.sort(key=lambda href: ("preferred", "1") not in href.attributes)
    return tuple(href.text.strip() for href in hrefs)


def _first_href(prop: Property | None) -> str | None:
    return next(iter(prop.hrefs()), None) if prop is not None else None


def _principal_href(principal: str | None) -> Href:
    return normalise_href(principal, collection=True) if principal else Href("")
