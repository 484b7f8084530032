"""Which resource a path names, and who answers for it. Authentication, throttling and faults came before."""

from tests.icloud import propfind, reports, writes
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar
from tests.icloud.exchange import Answer, Call, empty, html_page
from tests.icloud.places import Places
from tests.icloud.scheduling import is_scheduled
from tests.icloud.xml import MalformedRequest

_DAV = (
    "1, access-control, calendar-access, calendar-schedule, calendar-auto-schedule, calendar-availability, "
    "inbox-availability, calendar-proxy, calendarserver-private-events, calendarserver-private-comments, "
    "calendarserver-sharing, calendarserver-sharing-no-scheduling, calendar-query-extended, calendar-default-alarms, "
    "calendar-managed-attachments, calendarserver-partstat-changes, calendar-no-timezone, "
    "calendarserver-recurrence-split, addressbook, extended-mkcol"
)
_ALLOW = "OPTIONS, GET, PUT, DELETE, MOVE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, POST"


def answer(call: Call, account: Account, *, places: Places) -> Answer:
    """The answer to an authenticated request; XML that cannot be read is 400 with an HTML page."""
    try:
        return _route(call, account, places=places)
    except MalformedRequest:
        return html_page(400)


def _route(call: Call, account: Account, *, places: Places) -> Answer:
    if call.method == "OPTIONS":
        return empty(200, ("DAV", _DAV), ("Allow", _ALLOW))
    match call.segments:
        case ():
            return propfind.root(call, account, places=places) if call.method == "PROPFIND" else _bad_request(account)
        case (".well-known", "caldav"):
            return propfind.well_known(call, account, places=places) if call.method == "PROPFIND" else empty(404)
        case (owner, "principal"):
            if owner not in (account.dsid, account.principal_token):
                return empty(403)
            return propfind.principal(call, account, places=places) if call.method == "PROPFIND" else empty(405)
        case (owner, "calendars" | "team" as name, *rest):
            return empty(403) if owner != account.dsid else _in_home(call, account, home=name, rest=rest)
        case _:
            return empty(404)


def _in_home(call: Call, account: Account, *, home: str, rest: list[str]) -> Answer:
    if not rest:
        if call.method == "PROPFIND":
            return propfind.home(call, account, name=home)
        return _bad_request(account) if call.method in ("GET", "REPORT") else empty(403)
    calendar = account.calendars.get(rest[0])
    if len(rest) == 1 and call.method == "MKCALENDAR":
        return writes.make_calendar(call, account, id=rest[0])
    if calendar is None or len(rest) > 2 or account.home_of(calendar.id) != home:
        return empty(404)
    if len(rest) == 1:
        return _on_collection(call, account, calendar=calendar)
    return _on_object(call, account, calendar=calendar, name=rest[1])


def _on_collection(call: Call, account: Account, *, calendar: Calendar) -> Answer:
    match call.method:
        case "PROPFIND":
            return propfind.collection(call, account, calendar=calendar)
        case "REPORT":
            return reports.report(call, account, calendar=calendar)
        case "PROPPATCH":
            return writes.change_properties(call, account, calendar=calendar)
        case "DELETE":
            return writes.delete_calendar(call, account, calendar=calendar)
        case "GET" | "HEAD" | "POST":
            return _bad_request(account)
        case _:
            return empty(405)


def _on_object(call: Call, account: Account, *, calendar: Calendar, name: str) -> Answer:
    match call.method:
        case "GET" | "HEAD":
            return (
                empty(404) if name in account.knobs.ghosts else _get(calendar, name, lag=account.knobs.get_lag_seconds)
            )
        case "PROPFIND":
            return propfind.member(call, account, calendar=calendar, name=name)
        case "PUT":
            return writes.put(call, account, calendar=calendar, name=name)
        case "DELETE":
            return writes.delete(call, account, calendar=calendar, name=name)
        case "MOVE":
            return writes.move(call, account, calendar=calendar, name=name)
        case _:
            return empty(405)


def _get(calendar: Calendar, name: str, *, lag: float) -> Answer:
    """The full object, by default at once, whatever listings and reports know of it yet."""
    stored = calendar.get(name, calendar.revision_seen_after(lag))
    if stored is None:
        return empty(404)
    headers = [("ETag", stored.etag)]
    if is_scheduled(stored.text):
        headers.append(("Schedule-Tag", stored.etag))
    return Answer(200, stored.text.encode(), "text/calendar;charset=utf-8", headers)


def _bad_request(account: Account) -> Answer:
    """GET of a collection: neither a login page nor a 401."""
    return html_page(400) if account.knobs.collection_get == "html" else empty(400)
