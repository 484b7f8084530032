"""PUT, DELETE and MOVE of objects; MKCALENDAR, PROPPATCH and DELETE of collections. What a text may say: `refusals.py`.

A 412 on a create has three possible causes, and nothing tells them apart: the name exists, the UID exists elsewhere in
the account, or one of the two was deleted a moment ago.
"""

from urllib.parse import urlsplit

from tests.icloud import content, xml
from tests.icloud.accounts import Account
from tests.icloud.calendars import Calendar, StoredObject
from tests.icloud.exchange import Answer, Call, dav_error, empty, href_of, html_page
from tests.icloud.refusals import refuse_content, refuse_media_type
from tests.icloud.rewriting import rewrite_stored
from tests.icloud.scheduling import note_mails
from tests.icloud.xml import APPLE_ICAL, CALDAV, DAV, clark


def put(call: Call, account: Account, *, calendar: Calendar, name: str) -> Answer:
    knobs = account.knobs
    current = calendar.get(name)
    refusal = _refuse_access(calendar) or refuse_media_type(call, knobs)
    if refusal is None and len(call.body) > knobs.max_object_bytes:
        refusal = dav_error(403, f"<max-resource-size xmlns='{CALDAV}'/>")
    refusal = refusal or _refuse_precondition(call, account, current=current)
    if refusal is not None:
        return refusal
    text = call.body.decode("utf-8", "replace")
    refusal = refuse_content(text, calendar, knobs=knobs) or _refuse_identity(account, calendar, name=name, text=text)
    if refusal is not None:
        return refusal
    stored = calendar.put(name, rewrite_stored(content.with_crlf(text), knobs.rewriting))
    note_mails(account, before=current.text if current else "", after=text)
    _note_share(account, calendar)
    headers = [("ETag", stored.etag)] if knobs.put_gives_etag else []
    return empty(204 if current else knobs.put_created_status, *headers)


def delete(call: Call, account: Account, *, calendar: Calendar, name: str) -> Answer:
    """QUIRK(icloud): a Depth header, which WebDAV would allow, is refused."""
    if call.depth is not None:
        return empty(400)
    current = calendar.get(name)
    if current is None:
        return empty(404)
    refusal = _refuse_access(calendar) or _refuse_precondition(call, account, current=current)
    if refusal is not None:
        return refusal
    calendar.delete(name)
    account.bury(href_of(calendar.id, name, collection=False), current.uid)
    note_mails(account, before=current.text, after="")
    _note_share(account, calendar)
    return empty(204)


def move(call: Call, account: Account, *, calendar: Calendar, name: str) -> Answer:
    """Between calendars of the account, the one way that keeps to the UID rule."""
    target = Call(call.origin, call.host, "MOVE", urlsplit(call.headers.get("Destination", "")).path, call.headers, b"")
    current = calendar.get(name)
    if current is None:
        return empty(404)
    segments = target.segments
    if len(segments) != 4 or segments[:2] != (account.dsid, "calendars"):
        return empty(403)
    destination, new_name = account.calendars.get(segments[2]), segments[3]
    if destination is None:
        return empty(409)
    refusal = (
        _refuse_access(calendar) or _refuse_access(destination) or _refuse_precondition(call, account, current=current)
    )
    if refusal is not None:
        return refusal
    replaced = destination.get(new_name)
    if replaced is not None and call.headers.get("Overwrite", "T").upper() == "F":
        return empty(412)
    calendar.delete(name)
    etag = current.etag if account.knobs.move_keeps_etag else None
    moved = destination.put(new_name, current.text, etag=etag)
    _note_share(account, calendar)
    _note_share(account, destination)
    return empty(204 if replaced else 201, ("ETag", moved.etag))


def make_calendar(call: Call, account: Account, *, id: str) -> Answer:
    """MKCALENDAR: one component type and no more; the path of a deleted calendar may bring its events back."""
    if id in account.calendars:
        return empty(405)
    wanted = xml.read(call.body) if call.body else None
    comps: tuple[str, ...] = ("VEVENT",)
    name, color = id, None
    if wanted is not None:
        asked = [node.get("name", "") for node in wanted.iter(clark(CALDAV, "comp"))]
        if len(asked) > 1:
            return html_page(400, "Supported component set length exceeded: only one component type is supported")
        comps = tuple(asked) or comps
        name = wanted.findtext(".//" + clark(DAV, "displayname")) or id
        color = wanted.findtext(".//" + clark(APPLE_ICAL, "calendar-color"))
    if len(account.calendars) >= 103:  # Apple's limit of 100, beside inbox, outbox and notification
        return empty(403)
    made = account.add_calendar(name, id=id, color=color, components=comps)
    gone = account.removed_calendars.get(id)
    if gone is not None and account.knobs.deleted_calendars_return:
        for stored in gone.objects().values():
            made.put(stored.name, stored.text)
    return empty(201)


def change_properties(call: Call, account: Account, *, calendar: Calendar) -> Answer:
    """PROPPATCH of name, colour and transparency; the other properties are accepted and forgotten."""
    root = xml.read(call.body)
    props = [prop for node in root.iter(clark(DAV, "prop")) for prop in xml.children(node)]
    for prop in props:
        value = (prop.text or "").strip()
        if prop.tag == clark(DAV, "displayname"):
            calendar.name = value
        elif prop.tag == clark(APPLE_ICAL, "calendar-color"):
            calendar.color = value
        elif prop.tag == clark(CALDAV, "schedule-calendar-transp"):
            calendar.transparent = prop.find(clark(CALDAV, "transparent")) is not None
    calendar.touch_collection()
    path = href_of(account.dsid, account.home_of(calendar.id), calendar.id, collection=True)
    body = xml.multistatus([xml.response(path, {str(prop.tag): xml.Value("") for prop in props})])
    return Answer(207, body.encode(), "text/xml")


def delete_calendar(call: Call, account: Account, *, calendar: Calendar) -> Answer:
    """Of a calendar shared to me this leaves the share."""
    if call.depth is not None:
        return empty(400)
    if calendar.kind not in ("calendar", "subscribed"):
        return empty(403)
    account.remove_calendar(calendar.id)
    return empty(204)


def _refuse_access(calendar: Calendar) -> Answer | None:
    return None if calendar.writable else empty(403)


def _refuse_precondition(call: Call, account: Account, *, current: StoredObject | None) -> Answer | None:
    if call.headers.get("If-None-Match") is not None and current is not None:
        return empty(412)
    match = call.headers.get("If-Match")
    if match is None:
        return None
    # QUIRK(icloud): "any version" is refused even where there is one (seen on the CardDAV sibling).
    accepted = current is not None and (
        account.knobs.if_match_star == "accepted" if match.strip() == "*" else match.strip() == current.etag
    )
    return None if accepted else empty(412)


def _refuse_identity(account: Account, calendar: Calendar, *, name: str, text: str) -> Answer | None:
    """A UID lives once in the whole account, not once in a calendar; and the dead are remembered for a while."""
    uid = content.uid_of(text)
    current = calendar.get(name)
    if current is None and (account.is_buried(uid) or account.is_buried(href_of(calendar.id, name, collection=False))):
        return empty(412)
    holder = account.find_uid(uid)
    if current is not None and current.uid != uid and holder is None:
        return dav_error(403, f"<no-uid-conflict xmlns='{CALDAV}'/>")
    if holder is None or (holder[0] is calendar and holder[1].name == name):
        return None
    if account.knobs.uid_conflict == "403":
        path = href_of(account.dsid, account.home_of(holder[0].id), holder[0].id, holder[1].name, collection=False)
        return dav_error(403, f"<no-uid-conflict xmlns='{CALDAV}'>{xml.href(path)}</no-uid-conflict>")
    return empty(412)


def _note_share(account: Account, calendar: Calendar) -> None:
    """Every write to a shared calendar rings on the devices of everybody it is shared with."""
    if calendar.shared:
        account.share_notifications[calendar.id] += 1
