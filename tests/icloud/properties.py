"""What each resource says about itself: the properties of principal, home and collections, as iCloud fills them.

A property that is missing from these mappings is one iCloud answers with 404.
"""

from xml.sax.saxutils import escape

from tests.icloud import xml
from tests.icloud.accounts import Account
from tests.icloud.calendars import Access, Calendar
from tests.icloud.exchange import href_of
from tests.icloud.places import Places
from tests.icloud.xml import APPLE_ICAL, CALDAV, CALENDAR_SERVER, DAV, Value, clark

RESOURCETYPE = clark(DAV, "resourcetype")
GETETAG = clark(DAV, "getetag")
SYNC_TOKEN = clark(DAV, "sync-token")
GETCTAG = clark(CALENDAR_SERVER, "getctag")
CALENDAR_DATA = clark(CALDAV, "calendar-data")

_REPORTS = (
    ("acl-principal-prop-set", DAV),
    ("principal-match", DAV),
    ("principal-property-search", DAV),
    ("sync-collection", DAV),
    ("calendar-query", CALDAV),
    ("calendar-multiget", CALDAV),
    ("free-busy-query", CALDAV),
    ("calendar-search", CALENDAR_SERVER),
)
_READ = ["read", "caldav:read-free-busy", "read-current-user-privilege-set"]
_PRIVILEGES: dict[Access, list[str]] = {
    "all": [*_READ, "write", "write-properties", "write-content", "bind", "unbind"],
    "read-write": [*_READ, "write", "write-properties", "write-content", "bind", "unbind"],
    "write-content": [*_READ, "write-content", "bind"],
    "read-only": _READ,
    "properties-only": [*_READ, "write-properties"],  # colour and alarms may be changed, events may not
}
_KINDS = {
    "inbox": f'<schedule-inbox xmlns="{CALDAV}"/>',
    "outbox": f'<schedule-outbox xmlns="{CALDAV}"/>',
    "notification": f'<notification xmlns="{CALENDAR_SERVER}"/>',
    "subscribed": f'<subscribed xmlns="{CALENDAR_SERVER}"/>',
    "calendar": f'<calendar xmlns="{CALDAV}"/>',
}
_KIND_PRIVILEGES = {
    "inbox": [*_READ, "caldav:schedule-deliver", "unbind"],
    "outbox": ["read", "caldav:read-free-busy", "read-current-user-privilege-set", "caldav:schedule-send"],
    "notification": ["read", "read-current-user-privilege-set", "unbind"],
    "subscribed": _READ,
}


def principal_properties(account: Account, places: Places) -> dict[str, Value]:
    """The home-set is absolute, on the shard, with its port; every other address is a bare path."""
    homes = [places.of(account.shard) + href_of(account.dsid, name, collection=True) for name in account.homes]
    principal = Value(xml.href(href_of(account.dsid, "principal", collection=True)))
    own = {
        kind: Value(xml.href(href_of(account.dsid, "calendars", kind, collection=True)))
        for kind in ("inbox", "outbox", "notification")
    }
    return {
        clark(DAV, "current-user-principal"): principal,
        clark(DAV, "principal-URL"): principal,
        clark(DAV, "displayname"): xml.text(account.display_name),
        RESOURCETYPE: Value("<principal/>"),
        clark(CALDAV, "calendar-home-set"): Value("".join(xml.href(home) for home in homes)),
        clark(CALDAV, "calendar-user-address-set"): Value(_addresses(account)),
        clark(CALDAV, "schedule-inbox-URL"): own["inbox"],
        clark(CALDAV, "schedule-outbox-URL"): own["outbox"],
        clark(CALENDAR_SERVER, "notification-URL"): own["notification"],
    }


def home_properties(account: Account) -> dict[str, Value]:
    token = xml.text(account.home_ctag)
    return {
        clark(DAV, "displayname"): xml.text(account.display_name),
        RESOURCETYPE: Value("<collection/>"),
        clark(CALDAV, "supported-calendar-component-set"): _components(("VEVENT", "VTODO", "VFREEBUSY")),
        GETCTAG: token,
        SYNC_TOKEN: token,
        clark(DAV, "current-user-privilege-set"): _privileges(_PRIVILEGES["all"]),
        clark(DAV, "supported-report-set"): _report_set(),
        clark(DAV, "owner"): Value(xml.href(href_of(account.dsid, "principal", collection=True))),
    }


def collection_properties(account: Account, calendar: Calendar) -> dict[str, Value]:
    """Of a calendar, a subscription, or inbox, outbox and notification. ctag and sync token are the same text."""
    lag = account.knobs.lag_seconds
    shown = calendar.revision if account.knobs.lag_token_ahead else calendar.revision_seen_after(lag)
    token = xml.text(calendar.token(shown))
    found = {
        RESOURCETYPE: Value(
            _resourcetype(calendar, both=account.knobs.subscribed_is_calendar)
            + (_KINDS["outbox"] if calendar.id in account.knobs.listing_outbox else "")
        ),
        GETETAG: Value(escape(calendar.etag)),
        GETCTAG: token,
        SYNC_TOKEN: token,
        clark(DAV, "current-user-privilege-set"): _privileges(
            _KIND_PRIVILEGES.get(calendar.kind) or _PRIVILEGES[calendar.access]
        ),
        clark(DAV, "supported-report-set"): _report_set(),
        clark(DAV, "owner"): Value(xml.href(href_of(account.dsid, "principal", collection=True))),
    }
    if calendar.kind != "notification":
        components = ("VEVENT", "VTODO") if calendar.kind == "outbox" else calendar.components
        found[clark(CALDAV, "supported-calendar-component-set")] = _components(components)
    if calendar.kind == "outbox" or calendar.id in account.knobs.ctag_missing:
        del found[GETCTAG], found[SYNC_TOKEN]
    return found | _appearance(calendar) | _subscription(calendar)


def _appearance(calendar: Calendar) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if calendar.name is not None:
        found[clark(DAV, "displayname")] = xml.text(calendar.name)
    if calendar.color is not None:
        symbolic = f' symbolic-color="{escape(calendar.symbolic_color)}"' if calendar.symbolic_color else ""
        found[clark(APPLE_ICAL, "calendar-color")] = Value(calendar.color, symbolic)
    if calendar.order is not None:
        found[clark(APPLE_ICAL, "calendar-order")] = Value(str(calendar.order))
    if calendar.timezone is not None:
        found[clark(CALDAV, "calendar-timezone")] = xml.cdata(calendar.timezone)
    if calendar.transparent is not None:
        transp = "transparent" if calendar.transparent else "opaque"
        found[clark(CALDAV, "schedule-calendar-transp")] = Value(f"<{transp}/>")
    return found


def _subscription(calendar: Calendar) -> dict[str, Value]:
    if calendar.subscribed_source is None:
        return {}
    return {
        clark(CALENDAR_SERVER, "source"): Value(xml.href(calendar.subscribed_source)),
        clark(CALENDAR_SERVER, "subscribed-strip-alarms"): Value(""),
        clark(CALENDAR_SERVER, "subscribed-strip-attachments"): Value(""),
        clark(APPLE_ICAL, "refreshrate"): Value("P1W"),
    }


def _resourcetype(calendar: Calendar, *, both: bool) -> str:
    kind = _KINDS[calendar.kind]
    if both and calendar.kind == "subscribed":
        kind += _KINDS["calendar"]
    if calendar.shared == "owner":
        return f'<collection/>{kind}<shared-owner xmlns="{CALENDAR_SERVER}"/>'
    if calendar.shared:
        return f'<collection/>{kind}<shared xmlns="{CALENDAR_SERVER}"/>'
    return f"<collection/>{kind}"


def _components(names: tuple[str, ...]) -> Value:
    return Value("".join(f"<comp name='{name}' xmlns='{CALDAV}'/>" for name in names))


def _privileges(names: list[str]) -> Value:
    def element(name: str) -> str:
        prefix, colon, local = name.partition(":")
        return f'<{local} xmlns="{CALDAV}"/>' if colon else f"<{prefix}/>"

    return Value("".join(f"<privilege>{element(name)}</privilege>" for name in names))


def _report_set() -> Value:
    return Value(
        "".join(
            f'<supported-report><report><{name} xmlns="{namespace}"/></report></supported-report>'
            for name, namespace in _REPORTS
        )
    )


def _addresses(account: Account) -> str:
    preferred = f"mailto:{account.user}"
    return "".join(
        f'\n  <href xmlns="DAV:"{" preferred=" + chr(34) + "1" + chr(34) if address == preferred else ""}>'
        f"{escape(address)}</href>"
        for address in account.user_addresses
    )
