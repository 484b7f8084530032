"""Namespaces and qualified names of WebDAV and CalDAV, in Clark notation."""

from typing import Final

DAV: Final = "DAV:"
CALDAV: Final = "urn:ietf:params:xml:ns:caldav"
CALENDARSERVER: Final = "http://calendarserver.org/ns/"
APPLE: Final = "http://apple.com/ns/ical/"

PREFIXES: Final = {"D": DAV, "C": CALDAV, "CS": CALENDARSERVER, "A": APPLE}
"""The prefixes that busyd writes, on every element: iCloud answers mixed prefixed and default namespaces with 400."""


def dav(local: str) -> str:
    return f"{{{DAV}}}{local}"


def caldav(local: str) -> str:
    return f"{{{CALDAV}}}{local}"


def calendarserver(local: str) -> str:
    return f"{{{CALENDARSERVER}}}{local}"


def apple(local: str) -> str:
    return f"{{{APPLE}}}{local}"


# RFC 4918 §14: the elements of requests and responses
PROPFIND: Final = dav("propfind")
PROP: Final = dav("prop")
PROPNAME: Final = dav("propname")
PROPERTYUPDATE: Final = dav("propertyupdate")
SET: Final = dav("set")
REMOVE: Final = dav("remove")
CANNOT_MODIFY_PROTECTED_PROPERTY: Final = dav("cannot-modify-protected-property")
INCLUDE: Final = dav("include")
HREF: Final = dav("href")
MULTISTATUS: Final = dav("multistatus")
RESPONSE: Final = dav("response")
PROPSTAT: Final = dav("propstat")
STATUS: Final = dav("status")
ERROR: Final = dav("error")

# RFC 4918 §15: properties that any resource may have
RESOURCETYPE: Final = dav("resourcetype")
COLLECTION: Final = dav("collection")
DISPLAYNAME: Final = dav("displayname")
GETETAG: Final = dav("getetag")
GETCONTENTTYPE: Final = dav("getcontenttype")
GETCONTENTLENGTH: Final = dav("getcontentlength")
PROPFIND_FINITE_DEPTH: Final = dav("propfind-finite-depth")

# RFC 3744 §5.4 and RFC 5397: the principal and its privileges
CURRENT_USER_PRINCIPAL: Final = dav("current-user-principal")
PRINCIPAL: Final = dav("principal")
UNAUTHENTICATED: Final = dav("unauthenticated")
PRINCIPAL_URL: Final = dav("principal-URL")
PRINCIPAL_COLLECTION_SET: Final = dav("principal-collection-set")
OWNER: Final = dav("owner")
CURRENT_USER_PRIVILEGE_SET: Final = dav("current-user-privilege-set")
PRIVILEGE: Final = dav("privilege")
READ: Final = dav("read")
READ_CURRENT_USER_PRIVILEGE_SET: Final = dav("read-current-user-privilege-set")
WRITE_PRIVILEGES: Final = frozenset({dav("all"), dav("write"), dav("write-content")})
"""Any of these makes a calendar writable; `write-properties` alone does not (a read-only share of Apple's has it)."""
NEED_PRIVILEGES: Final = dav("need-privileges")
RESOURCE: Final = dav("resource")
WRITE: Final = dav("write")
WRITE_CONTENT: Final = dav("write-content")
WRITE_PROPERTIES: Final = dav("write-properties")
BIND: Final = dav("bind")
UNBIND: Final = dav("unbind")

# RFC 6578: collection synchronisation
SYNC_COLLECTION: Final = dav("sync-collection")
SYNC_TOKEN: Final = dav("sync-token")
SYNC_LEVEL: Final = dav("sync-level")
VALID_SYNC_TOKEN: Final = dav("valid-sync-token")
LIMIT: Final = dav("limit")
NRESULTS: Final = dav("nresults")
SYNC_TRAVERSAL_SUPPORTED: Final = dav("sync-traversal-supported")
SUPPORTED_REPORT_SET: Final = dav("supported-report-set")
SUPPORTED_REPORT: Final = dav("supported-report")
REPORT: Final = dav("report")
EXPAND_PROPERTY: Final = dav("expand-property")
ACL_PRINCIPAL_PROP_SET: Final = dav("acl-principal-prop-set")
PRINCIPAL_MATCH: Final = dav("principal-match")
PRINCIPAL_PROPERTY_SEARCH: Final = dav("principal-property-search")
PRINCIPAL_SEARCH_PROPERTY_SET: Final = dav("principal-search-property-set")
NUMBER_OF_MATCHES_WITHIN_LIMITS: Final = dav("number-of-matches-within-limits")

# RFC 4791: calendar access
CALENDAR: Final = caldav("calendar")
CALENDAR_MULTIGET: Final = caldav("calendar-multiget")
FREE_BUSY_QUERY: Final = caldav("free-busy-query")
CALENDAR_QUERY: Final = caldav("calendar-query")
FILTER: Final = caldav("filter")
COMP_FILTER: Final = caldav("comp-filter")
PROP_FILTER: Final = caldav("prop-filter")
PARAM_FILTER: Final = caldav("param-filter")
TEXT_MATCH: Final = caldav("text-match")
TIME_RANGE: Final = caldav("time-range")
IS_NOT_DEFINED: Final = caldav("is-not-defined")
TIMEZONE: Final = caldav("timezone")
TIMEZONE_ID: Final = caldav("timezone-id")
VALID_TIMEZONE: Final = caldav("valid-timezone")
"""RFC 7809 §5.2.2."""
EXPAND: Final = caldav("expand")
LIMIT_RECURRENCE_SET: Final = caldav("limit-recurrence-set")
LIMIT_FREEBUSY_SET: Final = caldav("limit-freebusy-set")
CALENDAR_PROP: Final = caldav("prop")
CALENDAR_ALLPROP: Final = caldav("allprop")
CALENDAR_ALLCOMP: Final = caldav("allcomp")
VALID_FILTER: Final = caldav("valid-filter")
SUPPORTED_FILTER: Final = caldav("supported-filter")
SUPPORTED_COLLATION: Final = caldav("supported-collation")
SUPPORTED_COLLATION_SET: Final = caldav("supported-collation-set")
CALENDAR_DATA: Final = caldav("calendar-data")
CALENDAR_HOME_SET: Final = caldav("calendar-home-set")
SUPPORTED_CALENDAR_COMPONENT_SET: Final = caldav("supported-calendar-component-set")
COMP: Final = caldav("comp")
MAX_RESOURCE_SIZE: Final = caldav("max-resource-size")
SUPPORTED_CALENDAR_DATA: Final = caldav("supported-calendar-data")
CALENDAR_DESCRIPTION: Final = caldav("calendar-description")
CALENDAR_AVAILABILITY: Final = caldav("calendar-availability")
"""RFC 7953 §7.2.4."""
CALENDAR_TIMEZONE: Final = caldav("calendar-timezone")
CALENDAR_TIMEZONE_ID: Final = caldav("calendar-timezone-id")
"""RFC 7809 §5.2."""

# RFC 6638: scheduling
CALENDAR_USER_ADDRESS_SET: Final = caldav("calendar-user-address-set")
SCHEDULE_CALENDAR_TRANSP: Final = caldav("schedule-calendar-transp")
READ_FREE_BUSY: Final = caldav("read-free-busy")
TRANSPARENT: Final = caldav("transparent")
OPAQUE: Final = caldav("opaque")
SCHEDULE_INBOX: Final = caldav("schedule-inbox")
SCHEDULE_OUTBOX: Final = caldav("schedule-outbox")

# CalendarServer's and Apple's extensions
GETCTAG: Final = calendarserver("getctag")
SHARED: Final = calendarserver("shared")
SUBSCRIBED: Final = calendarserver("subscribed")
SOURCE: Final = calendarserver("source")
APPLE_CALENDAR_AVAILABILITY: Final = calendarserver("calendar-availability")
EMAIL_ADDRESS_SET: Final = calendarserver("email-address-set")
EMAIL_ADDRESS: Final = calendarserver("email-address")
NOTIFICATION: Final = calendarserver("notification")
CALENDAR_COLOR: Final = apple("calendar-color")
CALENDAR_ORDER: Final = apple("calendar-order")
