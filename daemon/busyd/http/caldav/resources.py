"""Every kind of resource with its live properties (RFC 4918 §15, RFC 3744, RFC 4791 §5.2, RFC 6578 §4)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from busyd.dav import names
from busyd.dav.filter import COLLATIONS
from busyd.dav.href import normalise_href
from busyd.dav.multistatus import MemberResponse, Property, PropStat
from busyd.dav.request import Selection
from busyd.flow.collections import CollectionView
from busyd.http.caldav.paths import ROOT

CONTENT_TYPE: Final = "text/calendar; charset=utf-8"
_RFC4918: Final = (
    names.RESOURCETYPE,
    names.DISPLAYNAME,
    names.GETCONTENTTYPE,
    names.GETCONTENTLENGTH,
    names.GETETAG,
)
"""What allprop gives (RFC 4918 §9.1, RFC 4791 §5.2)."""
_OF_COLLECTIONS: Final = (
    names.SYNC_COLLECTION,
    names.CALENDAR_MULTIGET,
    names.CALENDAR_QUERY,
    names.FREE_BUSY_QUERY,
)
_OF_ALL_PRINCIPALS: Final = (
    names.ACL_PRINCIPAL_PROP_SET,
    names.EXPAND_PROPERTY,
    names.PRINCIPAL_MATCH,
    names.PRINCIPAL_PROPERTY_SEARCH,
    names.PRINCIPAL_SEARCH_PROPERTY_SET,
)
_OF_PRINCIPALS: Final = (names.FREE_BUSY_QUERY, *_OF_ALL_PRINCIPALS)


class Resource(Struct, frozen=True):
    """A resource with all of its properties by name."""

    href: str
    properties: Mapping[str, Property]
    dead: frozenset[str] = frozenset()
    """Those of them that an app has made up."""

    def answer(self, propstats: tuple[PropStat, ...]) -> MemberResponse:
        """A response for this resource."""
        return MemberResponse(normalise_href(self.href), propstats, spelling=self.href)

    def response(self, properties: Iterable[str], *, selection: Selection, minimal: bool) -> MemberResponse:
        """The properties asked for: those there are first, then those there are not, unless it shall be minimal."""
        if selection is Selection.NAMES:
            found = tuple(Property(name) for name in self.properties)
            return _response(self.href, found)
        if selection is Selection.ALL:
            of_webdav = (name for name in _RFC4918 if name in self.properties)
            properties = dict.fromkeys((*of_webdav, *sorted(self.dead), *properties))
        wanted = dict.fromkeys(properties)
        missing = () if minimal else tuple(Property(name) for name in wanted if name not in self.properties)
        found = tuple(self.properties[name] for name in wanted if name in self.properties)
        return _response(self.href, found, missing=missing)


def _response(href: str, found: tuple[Property, ...], *, missing: tuple[Property, ...] = ()) -> MemberResponse:
    propstats = [PropStat(200, found)] if found or not missing else []
    if missing:
        propstats.append(PropStat(404, missing))
    return MemberResponse(normalise_href(href), tuple(propstats), spelling=href)


def principal_href(profile: str) -> str:
    """The principal of a profile, which is its calendar home too."""
    return f"{ROOT}{quote(profile, safe='')}/"


def collection_href(profile: str, collection: CollectionView) -> str:
    return f"{principal_href(profile)}{collection.segment}/"


def starting_point(href: str, profile: str) -> Resource:
    """Whatever leads to the principal of who asks (RFC 5397)."""
    return _resource(
        href,
        Property(names.RESOURCETYPE, children=(Property(names.COLLECTION),)),
        _href(names.CURRENT_USER_PRINCIPAL, principal_href(profile)),
        _href(names.PRINCIPAL_COLLECTION_SET, ROOT),
    )


class HomeFacts(Struct, frozen=True):
    """What there is to say of a profile."""

    profile: str
    me: str
    """The profile of who asks."""
    addresses: Sequence[str] = ()
    availability: str = ""
    """Its working hours as iCalendar; empty for one without."""
    free_busy: bool = False
    """Whether who asks may know when it is busy."""


def principal(facts: HomeFacts) -> Resource:
    """A profile: the principal, and the home of its calendars."""
    profile, me, href = facts.profile, facts.me, principal_href(facts.profile)
    mailto = tuple(Property(names.HREF, f"mailto:{address}") for address in facts.addresses)
    mail = tuple(Property(names.EMAIL_ADDRESS, address) for address in facts.addresses)
    hours = (names.CALENDAR_AVAILABILITY, names.APPLE_CALENDAR_AVAILABILITY) if facts.availability else ()
    return _resource(
        href,
        *(Property(name, facts.availability) for name in hours),
        Property(names.RESOURCETYPE, children=(Property(names.COLLECTION), Property(names.PRINCIPAL))),
        Property(names.DISPLAYNAME, profile),
        _href(names.CURRENT_USER_PRINCIPAL, principal_href(me)),
        _href(names.PRINCIPAL_URL, href),
        _href(names.OWNER, href),
        _href(names.PRINCIPAL_COLLECTION_SET, ROOT),
        _href(names.CALENDAR_HOME_SET, href),
        Property(names.CALENDAR_USER_ADDRESS_SET, children=mailto),
        Property(names.EMAIL_ADDRESS_SET, children=mail),
        _READ_FREE_BUSY if facts.free_busy else _READ_ONLY,
        _reports(_OF_PRINCIPALS if facts.free_busy else _OF_ALL_PRINCIPALS),
    )


def calendar(
    profile: str, collection: CollectionView, *, order: int, me: str, max_bytes: int, writable: bool
) -> Resource:
    """A calendar. `order` is its place among those of its home, from 1; `max_bytes` the longest object there can be."""
    component = Property(names.COMP, attributes=(("name", "VEVENT"),))
    data = Property(names.CALENDAR_DATA, attributes=(("content-type", "text/calendar"), ("version", "2.0")))
    transparency = names.TRANSPARENT if collection.transparent else names.OPAQUE
    properties = [
        Property(names.RESOURCETYPE, children=(Property(names.COLLECTION), Property(names.CALENDAR))),
        Property(names.DISPLAYNAME, collection.name),
        Property(names.GETCTAG, collection.token),
        Property(names.SUPPORTED_CALENDAR_COMPONENT_SET, children=(component,)),
        Property(names.SUPPORTED_CALENDAR_DATA, children=(data,)),
        Property(names.SCHEDULE_CALENDAR_TRANSP, children=(Property(transparency),)),
        Property(names.SUPPORTED_COLLATION_SET, children=_COLLATIONS),
        Property(names.MAX_RESOURCE_SIZE, str(max_bytes)),
        Property(names.CALENDAR_ORDER, str(order)),
        _href(names.OWNER, principal_href(profile)),
        _href(names.CURRENT_USER_PRINCIPAL, principal_href(me)),
        _WRITABLE if writable else _READ_FREE_BUSY,
        _reports(_OF_COLLECTIONS),
        Property(names.SYNC_TOKEN, collection.token),
    ]
    if collection.color:
        shown = f"{collection.color}FF" if len(collection.color) == len("#RRGGBB") else collection.color
        properties.append(Property(names.CALENDAR_COLOR, shown))
    if collection.source:
        properties.append(_href(names.SOURCE, collection.source))
    if collection.link is not None and collection.link.zone:
        properties.append(Property(names.CALENDAR_TIMEZONE_ID, collection.link.zone))
    return _resource(collection_href(profile, collection), *properties)


def calendar_object(
    href: str,
    tag: str,
    *,
    profile: str,
    me: str,
    size: int | None,
    data: bytes | None = None,
    writable: bool = False,
) -> Resource:
    """A calendar object resource of so many bytes; with some of them or all as calendar-data (RFC 4791 §9.6)."""
    properties = [
        Property(names.RESOURCETYPE),
        Property(names.GETETAG, etag_of(tag)),
        Property(names.GETCONTENTTYPE, f"{CONTENT_TYPE}; component=vevent"),
        _href(names.OWNER, principal_href(profile)),
        _href(names.CURRENT_USER_PRINCIPAL, principal_href(me)),
        _WRITABLE if writable else _READ_ONLY,
    ]
    if size is not None:
        properties.append(Property(names.GETCONTENTLENGTH, str(size)))
    if data is not None:
        properties.append(Property(names.CALENDAR_DATA, data.decode("utf-8", "replace")))
    return _resource(href, *properties)


MODIFIABLE: Final = frozenset(
    {
        names.DISPLAYNAME,
        names.CALENDAR_COLOR,
        names.CALENDAR_ORDER,
        names.CALENDAR_DESCRIPTION,
        names.CALENDAR_TIMEZONE,
        names.CALENDAR_TIMEZONE_ID,
        names.SCHEDULE_CALENDAR_TRANSP,
    }
)
"""Live properties that an app may have otherwise. Whether somebody is busy does not depend on them."""
PROTECTED: Final = frozenset(
    {
        *map(names.dav, ("acl", "creationdate", "getcontentlanguage", "getlastmodified", "group-member-set")),
        *map(
            names.dav, ("group-membership", "lockdiscovery", "quota-available-bytes", "quota-used-bytes", "resource-id")
        ),
        *map(names.dav, ("supported-privilege-set", "supportedlock", "sync-token")),
        *map(names.caldav, ("max-attendees-per-instance", "max-date-time", "max-instances", "max-resource-size")),
        *map(names.caldav, ("min-date-time", "schedule-inbox-URL", "schedule-outbox-URL", "calendar-data")),
        names.CALENDAR_AVAILABILITY,
        names.CALENDAR_HOME_SET,
        names.CURRENT_USER_PRINCIPAL,
        names.CURRENT_USER_PRIVILEGE_SET,
        names.GETCONTENTLENGTH,
        names.GETCONTENTTYPE,
        names.GETCTAG,
        names.GETETAG,
        names.OWNER,
        names.PRINCIPAL_URL,
        names.RESOURCETYPE,
        names.SUPPORTED_CALENDAR_COMPONENT_SET,
        names.SUPPORTED_CALENDAR_DATA,
        names.SUPPORTED_REPORT_SET,
    }
)
"""Live properties, also where a resource does not have them."""


def etag_of(tag: str) -> str:
    """The strong ETag of a member, the same in every answer."""
    return f'"{tag}"'


def _resource(href: str, *properties: Property) -> Resource:
    return Resource(href, {prop.name: prop for prop in properties})


def _href(name: str, href: str) -> Property:
    return Property(name, children=(Property(names.HREF, href),))


def _reports(supported: Iterable[str]) -> Property:
    reports = (Property(names.REPORT, children=(Property(name),)) for name in supported)
    children = tuple(Property(names.SUPPORTED_REPORT, children=(report,)) for report in reports)
    return Property(names.SUPPORTED_REPORT_SET, children=children)


_COLLATIONS: Final = tuple(Property(names.caldav("supported-collation"), name) for name in COLLATIONS)


def _privileges(*granted: str) -> Property:
    """One privilege an element, as some apps need it. No write-properties, which Thunderbird takes for writable."""
    children = tuple(Property(names.PRIVILEGE, children=(Property(name),)) for name in granted)
    return Property(names.CURRENT_USER_PRIVILEGE_SET, children=children)


_READ_ONLY: Final = _privileges(names.READ, names.READ_CURRENT_USER_PRIVILEGE_SET)
_READ_FREE_BUSY: Final = _privileges(names.READ, names.READ_FREE_BUSY, names.READ_CURRENT_USER_PRIVILEGE_SET)
_WRITABLE: Final = _privileges(
    names.READ,
    names.READ_FREE_BUSY,
    names.WRITE,
    names.WRITE_CONTENT,
    names.WRITE_PROPERTIES,
    names.BIND,
    names.UNBIND,
    names.READ_CURRENT_USER_PRIVILEGE_SET,
)
"""One by one and not in one `all`, which Outlook's synchronizer takes for read-only."""
