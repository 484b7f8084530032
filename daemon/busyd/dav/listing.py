"""One PROPFIND for all calendars of a home, which is all that an idle poll needs. Their changes are `changes.py`."""

import re
from typing import Final

from msgspec import Struct

from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav import names
from busyd.dav.errors import MalformedResponse
from busyd.dav.exchange import Operation, propfind, read_multistatus
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
_ZONE_LINE: Final = re.compile(r"^(TZID|X-LIC-LOCATION)(?:;[^:]*)?:(.+?)\s*$", re.MULTILINE)


class Listing(Struct, frozen=True):
    """The event calendars of a home at one moment."""

    calendars: tuple[RemoteCalendar, ...]
    unreadable: tuple[Href, ...] = ()
    """Members that the server listed without a resourcetype: neither known nor gone."""


def list_calendars(home: str, *, single: bool = False) -> Operation[Listing]:
    """Every event calendar below the home, with its ctag and sync token, in one request.

    `single` means that the home is itself the only calendar (`Account.is_single`): Depth 0, its events are not listed.
    Raises MalformedResponse unless the response is a complete multistatus that contains the home itself: anything less
    may be a truncated listing, in which a missing calendar would look deleted.
    """
    response = yield propfind(home, depth="0" if single else "1", properties=LISTED)
    responses = read_multistatus(response).responses
    selves = spellings(home, response.url)
    if not any(member.href in selves for member in responses):
        raise MalformedResponse(response.host, "the listing lacks the calendar home itself", status=207)
    calendars: list[RemoteCalendar] = []
    unreadable: list[Href] = []
    for member in responses:
        calendar = _calendar(member)
        if calendar is not None:
            calendars.append(calendar)
        elif _lacks_resourcetype(member) and member.href not in selves:
            unreadable.append(normalise_href(member.href, collection=True))
    return Listing(tuple(calendars), tuple(unreadable))


def _calendar(member: MemberResponse) -> RemoteCalendar | None:
    """The member as an event calendar, or None when it is something else (a reminders list, an inbox, the home)."""
    resourcetype = member.find(names.RESOURCETYPE)
    types = {child.name for child in resourcetype.children} if resourcetype is not None else set()
    if not types & {names.CALENDAR, names.SUBSCRIBED} or types & _NOT_FOR_EVENTS or not _holds_events(member):
        return None
    source = member.find(names.SOURCE)
    transp = member.find(names.SCHEDULE_CALENDAR_TRANSP)
    kind = CalendarKind.SHARED if names.SHARED in types else CalendarKind.OWN
    return RemoteCalendar(
        href=normalise_href(member.href, collection=True),
        name=member.text(names.DISPLAYNAME) or "",
        kind=CalendarKind.SUBSCRIBED if names.SUBSCRIBED in types else kind,
        writable=_is_writable(member),
        transparent=transp is not None and transp.child(names.TRANSPARENT) is not None,
        source=next(iter(source.hrefs()), source.text.strip() or None) if source is not None else None,
        timezone=_timezone(member),
        color=_color(member),
        ctag=member.text(names.GETCTAG),
        sync_token=member.text(names.SYNC_TOKEN),
    )


def _holds_events(member: MemberResponse) -> bool:
    """RFC 4791 §5.2.3: without the property every component type is allowed."""
    components = member.find(names.SUPPORTED_CALENDAR_COMPONENT_SET)
    if components is None or not components.children:
        return True
    return any(("name", "VEVENT") in comp.attributes for comp in components.children if comp.name == names.COMP)


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
    lines = dict(reversed(_ZONE_LINE.findall(member.text(names.CALENDAR_TIMEZONE) or "")))
    return lines.get("X-LIC-LOCATION") or lines.get("TZID")


def _color(member: MemberResponse) -> str | None:
    """`#RRGGBB`; Apple appends the alpha channel."""
    color = member.text(names.CALENDAR_COLOR)
    return color[:7] if color and len(color) == 9 and color.startswith("#") else color


def _lacks_resourcetype(member: MemberResponse) -> bool:
    """Listed without a resourcetype, though every resource has one (RFC 4918 §15.9)."""
    return member.status not in (404, 410) and member.find(names.RESOURCETYPE) is None
