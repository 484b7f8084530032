"""REPORT calendar-multiget and calendar-query, and the ones iCloud refuses. sync-collection is `sync.py`."""

import re
from datetime import UTC, datetime
from urllib.parse import unquote

from lxml import etree

from tests.icloud import rewriting, timerange, xml
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar, StoredObject
from tests.icloud.exchange import Answer, Call, empty, href_of, html_page, multistatus
from tests.icloud.properties import CALENDAR_DATA, GETETAG
from tests.icloud.sync import sync_collection
from tests.icloud.xml import CALDAV, DAV, Value, clark

_UTC_STAMP = re.compile(r"\d{8}T\d{6}Z")


def report(call: Call, account: Account, *, calendar: Calendar) -> Answer:
    if calendar.id in account.knobs.gone_but_listed:
        return empty(404)
    root = xml.read(call.body)
    match str(root.tag):
        case "{DAV:}sync-collection":
            return sync_collection(account, calendar, root=root)
        case "{urn:ietf:params:xml:ns:caldav}calendar-multiget":
            return multiget(account, calendar, root=root)
        case "{urn:ietf:params:xml:ns:caldav}calendar-query":
            return query(account, calendar, root=root)
        case _:
            # free-busy-query is advertised, and refused with nothing to read.
            return empty(400)


def multiget(account: Account, calendar: Calendar, *, root: etree._Element) -> Answer:
    """Each href is answered as it was asked; absolute URLs and other calendars' paths are not found."""
    knobs = account.knobs
    seen = calendar.revision_seen_after(max(knobs.lag_seconds, knobs.multiget_lag_seconds))
    asked = [(node.text or "").strip() for node in root.findall(clark(DAV, "href"))]
    if knobs.multiget_returns_at_most:
        asked = asked[: knobs.multiget_returns_at_most]
    responses = []
    for path in asked:
        lost = calendar.id in knobs.members_lost or path.rpartition("/")[2] in knobs.ghosts
        stored = None if lost else _object_at(path, account, calendar=calendar, revision=seen)
        if stored is not None:
            responses.append(_object_response(path, stored, account=account, root=root))
        elif knobs.multiget_missing == "404":
            responses.append(xml.status_response(path, "404 Not Found"))
    return multistatus(*responses)


def query(account: Account, calendar: Calendar, *, root: etree._Element) -> Answer:
    """Needs exactly VCALENDAR > VEVENT, with or without a time-range; the collection itself answers too."""
    filters = root.findall(".//" + clark(CALDAV, "comp-filter"))
    wanted = [node.get("name", "") for node in filters]
    if root.find(".//" + clark(CALDAV, "prop-filter")) is not None:
        return empty(412)
    if wanted[:1] != ["VCALENDAR"] or len(wanted) == 1 or not {"VEVENT"}.issuperset(wanted[1:2]):
        return html_page(500)
    span = _time_range(root.find(".//" + clark(CALDAV, "time-range")))
    if span == "invalid":
        return empty(400)
    members: list[StoredObject] = []
    if len(wanted) == 2 and calendar.kind == "calendar":
        if "VEVENT" not in calendar.components:
            return html_page(500)
        objects = calendar.objects(calendar.revision_seen_after(account.knobs.lag_seconds)).values()
        members = [item for item in objects if span is None or timerange.overlaps(item.text, *span)]
    asked = xml.asked_properties(root)
    itself = href_of(
        account.dsid, account.home_of(calendar.id), calendar.id, collection=not account.knobs.self_without_slash
    )
    missing = [name for name in asked if name != GETETAG]
    found = {GETETAG: xml.text(calendar.etag)} if GETETAG in asked and members else {}
    responses = [xml.response(itself, found, missing=missing)]
    for stored in members:
        path = href_of(account.dsid, account.home_of(calendar.id), calendar.id, stored.name, collection=False)
        responses.append(_object_response(path, stored, account=account, root=root))
    return multistatus(*responses)


def _object_at(path: str, account: Account, *, calendar: Calendar, revision: int) -> StoredObject | None:
    folder, _, name = path.rpartition("/")
    if unquote(folder) != f"/{account.dsid}/{account.home_of(calendar.id)}/{calendar.id}":
        return None
    return calendar.get(unquote(name), revision)


def _object_response(path: str, stored: StoredObject, *, account: Account, root: etree._Element) -> str:
    asked = xml.asked_properties(root)
    found: dict[str, Value] = {}
    if GETETAG in asked:
        found[GETETAG] = xml.text(stored.etag)
    if CALENDAR_DATA in asked:
        found[CALENDAR_DATA] = xml.cdata(_data(stored, account, wanted=asked[CALENDAR_DATA]))
    return xml.response(path, found, missing=[name for name in asked if name not in found])


def _data(stored: StoredObject, account: Account, *, wanted: etree._Element) -> str:
    """The object as reports show it: a part of it gives empty components, all of it lacks its header."""
    knobs = account.knobs
    if wanted.find(clark(CALDAV, "comp")) is not None:
        return rewriting.EMPTY_EVENT
    expand = wanted.find(clark(CALDAV, "expand"))
    text = stored.text
    if expand is not None and knobs.expand == "expanded":
        span = _time_range(expand)
        if isinstance(span, tuple):
            text = timerange.expanded(text, *span)
    if "recurrence-exception" in knobs.rewriting:
        text = rewriting.mark_exceptions(text)
    if knobs.reports_strip:
        text = rewriting.strip_for_report(text)
    return ("\r\n\r\n" if knobs.blank_lines_before_data else "") + text


def _time_range(node: etree._Element | None) -> tuple[datetime, datetime] | str | None:
    """The span of a time-range or expand element, open ends far away; "invalid" unless both are UTC stamps."""
    if node is None:
        return None
    start, end = node.get("start", "19000101T000000Z"), node.get("end", "21000101T000000Z")
    if not (_UTC_STAMP.fullmatch(start) and _UTC_STAMP.fullmatch(end)):
        return "invalid"
    moments = [datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for stamp in (start, end)]
    return moments[0], moments[1]
