"""One PROPFIND for all calendars of a home, which is all that an idle poll needs. Their changes are `changes.py`."""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav import names
from busyd.dav.errors import DavError, Forbidden, MalformedResponse, NotFound, ServerFault
from busyd.dav.exchange import DavResponse, Operation, failure, propfind, read_multistatus
from busyd.dav.href import Href, normalise_href, spellings
from busyd.dav.multistatus import MemberResponse

LISTED: Final = (
    names.RESOURCETYPE,
    names.DISPLAYNAME,
    names.CURRENT_USER_PRIVILEGE_SET,
    names.SYNC_TOKEN,
    names.GETCTAG,
    names.SUPPORTED_CALENDAR_COMPONENT_SET,
    names.CALENDAR_TIMEZONE,
    names.CALENDAR_TIMEZONE_ID,
    names.SCHEDULE_CALENDAR_TRANSP,
    names.CALENDAR_COLOR,
    names.SOURCE,
)
_NOT_FOR_EVENTS: Final = frozenset({names.SCHEDULE_INBOX, names.SCHEDULE_OUTBOX, names.NOTIFICATION})
_TRUNCATED: Final = 507
"""The status of a row that says that the listing goes on (RFC 6578 §3.6, RFC 5323 §2.3.1)."""
_ZONE_LINE: Final = re.compile(r"^(TZID|X-LIC-LOCATION)(?:;[^:]*)?:(.+?)\s*$", re.MULTILINE)


class Listing(Struct, frozen=True):
    """The event calendars of an account at one moment."""

    calendars: tuple[RemoteCalendar, ...]
    unreadable: tuple[Href, ...] = ()
    """Members that the server listed without a resourcetype: neither known nor gone."""
    truncated: bool = False
    """The server says that it left members out: what is not listed may be there all the same."""
    failed: tuple[str, ...] = ()
    """What went wrong with each home that could not be listed while others could."""
    reminders: tuple[str, ...] = ()
    """The names of its reminders lists (VTODO alone), which are no event calendars and never block."""

    @property
    def partial(self) -> str:
        """Why there may be calendars that are not listed, as a sentence; empty when all are."""
        truncated = ("its server lists only a part of its calendars (status 507)",) if self.truncated else ()
        return "; ".join((*truncated, *(f"one of its calendar homes cannot be listed: {why}" for why in self.failed)))


class ListingMemory:
    """What each home has answered last, so that the same answer is not read again: an idle poll brings no other."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, Listing]] = {}

    def read(self, home: str, response: DavResponse, *, read: Callable[[], Listing]) -> Listing:
        """The listing of a response. Raises what `read` raises."""
        answered = hashlib.sha256(f"{response.status} {response.url}\n".encode() + response.body).digest()
        known = self._read.get(home)
        if known is None or known[0] != answered:
            known = self._read[home] = answered, read()
        return known[1]


def list_homes(
    homes: Sequence[str], *, single: bool = False, memory: ListingMemory | None = None
) -> Operation[Listing]:
    """Every event calendar of an account that has one home or several (RFC 4791 §6.2.1), one request a home.

    One home that fails while others answer makes the listing partial; when none answers, the first error is raised.
    """
    listings: list[Listing] = []
    failures: list[DavError] = []
    for home in homes:
        try:
            listings.append((yield from list_calendars(home, single=single, memory=memory)))
        except (NotFound, Forbidden, MalformedResponse, ServerFault) as error:
            failures.append(error)
    if not listings:
        raise failures[0]
    by_href: dict[str, list[RemoteCalendar]] = {}
    for calendar in (calendar for listing in listings for calendar in listing.calendars):
        by_href.setdefault(calendar.href, []).append(calendar)
    return Listing(
        tuple(_only(calendars) for calendars in by_href.values()),
        tuple(href for listing in listings for href in listing.unreadable if href not in by_href),
        any(listing.truncated for listing in listings),
        tuple(str(error) for error in failures),
        tuple(dict.fromkeys(name for listing in listings for name in listing.reminders)),
    )


def list_calendars(home: str, *, single: bool = False, memory: ListingMemory | None = None) -> Operation[Listing]:
    """Every event calendar below the home, with its ctag and sync token, in one request.

    `single` means that the home is itself the only calendar (`Account.is_single`): Depth 0, its events are not listed.
    Raises MalformedResponse unless the response is a multistatus that contains the home itself: anything less may be
    a truncated listing, in which a missing calendar would look deleted. Raises the error that the home's own row
    stands for.
    """
    response = yield propfind(home, depth="0" if single else "1", properties=LISTED)
    return (memory or ListingMemory()).read(home, response, read=partial(_read_listing, home, response))


def _read_listing(home: str, response: DavResponse) -> Listing:
    selves = spellings(home, response.url)
    rows: dict[Href, list[MemberResponse]] = {}
    truncated = False
    for member in read_multistatus(response).responses:
        truncated = truncated or member.status == _TRUNCATED
        rows.setdefault(normalise_href(member.href, collection=True), []).append(member)
    _check_home([member for href, members in rows.items() if href in selves for member in members], response)
    calendars: list[RemoteCalendar] = []
    unreadable: list[Href] = []
    reminders: list[str] = []
    for href, members in rows.items():
        told = [member for member in members if href not in selves or member.status != _TRUNCATED]
        found = [calendar for member in told if (calendar := _calendar(member)) is not None]
        if found:
            calendars.append(_only(found, contradicted=len(found) < len(told)))
        elif href not in selves and any(_lacks_resourcetype(member) for member in told):
            unreadable.append(href)
        else:
            reminders += [member.text(names.DISPLAYNAME) or href for member in told[:1] if _is_reminders_list(member)]
    return Listing(tuple(calendars), tuple(unreadable), truncated, reminders=tuple(reminders))


def _check_home(itself: Sequence[MemberResponse], response: DavResponse) -> None:
    """QUIRK(xandikos): an unknown path gets a 207 that contains nothing but a 404."""
    if not itself:
        raise MalformedResponse(response.host, "the listing lacks the calendar home itself", status=207)
    statuses = [member.status or 200 for member in itself]
    if all(status >= 400 and status != _TRUNCATED for status in statuses):
        raise failure(replace(response, status=statuses[0], body=b""))


def _only(rows: Sequence[RemoteCalendar], *, contradicted: bool = False) -> RemoteCalendar:
    """One calendar of all the rows that list it.

    Tokens are opaque, so which of two rows is the newer one cannot be seen. Neither state is kept then: a calendar
    whose state is not known is looked into at each poll.
    """
    first = rows[0]
    if not contradicted and all(replace(row, spelling=first.spelling) == first for row in rows):
        return first
    own = next((row for row in rows if row.kind is not CalendarKind.SUBSCRIBED), first)
    transparent = all(row.transparent for row in rows)
    return replace(own, transparent=transparent, ctag=None, sync_token=None)


def _calendar(member: MemberResponse) -> RemoteCalendar | None:
    """The member as an event calendar, or None when it is something else (a reminders list, an inbox, the home)."""
    resourcetype = member.find(names.RESOURCETYPE)
    types = {child.name for child in resourcetype.children} if resourcetype is not None else set()
    # QUIRK(sogo): every person's main calendar is a schedule-outbox as well.
    is_one = names.CALENDAR in types or (names.SUBSCRIBED in types and not types & _NOT_FOR_EVENTS)
    if not is_one or not _holds_events(member):
        return None
    source = member.find(names.SOURCE)
    transp = member.find(names.SCHEDULE_CALENDAR_TRANSP)
    kind = CalendarKind.SHARED if names.SHARED in types else CalendarKind.OWN
    href = normalise_href(member.href, collection=True)
    return RemoteCalendar(
        href=href,
        name=member.text(names.DISPLAYNAME) or "",
        kind=CalendarKind.SUBSCRIBED if names.SUBSCRIBED in types else kind,
        writable=_is_writable(member),
        transparent=transp is not None and transp.child(names.TRANSPARENT) is not None,
        source=next(iter(source.hrefs()), source.text.strip() or None) if source is not None else None,
        timezone=_timezone(member),
        color=_color(member),
        ctag=member.text(names.GETCTAG),
        sync_token=member.text(names.SYNC_TOKEN),
        spelling=member.spelling if member.spelling != href else "",
    )


def _holds_events(member: MemberResponse) -> bool:
    """RFC 4791 §5.2.3: without the property every component type is allowed."""
    components = member.find(names.SUPPORTED_CALENDAR_COMPONENT_SET)
    if components is None or not components.children:
        return True
    return any(("name", "VEVENT") in comp.attributes for comp in components.children if comp.name == names.COMP)


def _is_reminders_list(member: MemberResponse) -> bool:
    """A calendar of VTODO components alone, as the Reminders app keeps them."""
    resourcetype = member.find(names.RESOURCETYPE)
    is_calendar = resourcetype is not None and names.CALENDAR in {child.name for child in resourcetype.children}
    components = member.find(names.SUPPORTED_CALENDAR_COMPONENT_SET)
    held = [comp.attributes for comp in components.children if comp.name == names.COMP] if components else []
    return is_calendar and any(("name", "VTODO") in attributes for attributes in held)


def _is_writable(member: MemberResponse) -> bool:
    privileges = member.find(names.CURRENT_USER_PRIVILEGE_SET)
    if privileges is None:
        return True  # the server will refuse a write if it must
    granted = {right.name for privilege in privileges.children for right in privilege.children}
    return bool(granted & names.WRITE_PRIVILEGES)


def _timezone(member: MemberResponse) -> str | None:
    """The name of the zone: X-LIC-LOCATION in preference to TZID, which need not be an IANA name."""
    named = member.text(names.CALENDAR_TIMEZONE_ID)
    if named:
        return named
    return zone_name_in(member.text(names.CALENDAR_TIMEZONE) or "")


def zone_name_in(text: str) -> str | None:
    """What the first VTIMEZONE of an iCalendar text calls itself."""
    lines = dict(reversed(_ZONE_LINE.findall(text)))
    return lines.get("X-LIC-LOCATION") or lines.get("TZID")


def _color(member: MemberResponse) -> str | None:
    """`#RRGGBB`; Apple appends the alpha channel."""
    color = member.text(names.CALENDAR_COLOR)
    return color[:7] if color and len(color) == 9 and color.startswith("#") else color


def _lacks_resourcetype(member: MemberResponse) -> bool:
    """Listed without a resourcetype, though every resource has one (RFC 4918 §15.9)."""
    return member.status not in (404, 410) and member.find(names.RESOURCETYPE) is None
