"""What iCloud refuses to store, and with which status: seldom the one that would explain it.

Judges the text of one PUT. Preconditions, UIDs elsewhere and tombstones are `writes.py`.
"""

import re

from tests.icloud import content
from tests.icloud.calendars import Calendar
from tests.icloud.content import Component
from tests.icloud.exchange import Answer, Call, dav_error, empty, html_page
from tests.icloud.knobs import Knobs
from tests.icloud.xml import CALDAV

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def refuse_media_type(call: Call, knobs: Knobs) -> Answer | None:
    """One Content-Type, and it says text/calendar. A doubled one on two lines is met by `delivery.py`."""
    kind = call.headers.get("Content-Type", "")
    if "," in kind:
        return empty(501)
    if kind.partition(";")[0].strip().lower() != "text/calendar":
        return empty(knobs.content_type_refusal)
    return None


def refuse_content(text: str, calendar: Calendar, *, knobs: Knobs) -> Answer | None:
    """The first fault of the text, or None when iCloud would store it."""
    try:
        put = content.read_calendar(text)
    except content.NotACalendar:
        return html_page(400)
    items = put.named(*content.OBJECT_COMPONENTS)
    if not items or not put.has("VERSION") or not put.has("PRODID") or not all(item.has("UID") for item in items):
        return _precondition("valid-calendar-data")
    if _CONTROL.search(text) or len({item.value("UID") for item in items}) > 1 or _has_two_masters(items):
        return _precondition("valid-calendar-object-resource")
    if not {item.name for item in items}.issubset(calendar.components):
        return _precondition("supported-calendar-component")
    return _refuse_event(put, items, knobs=knobs)


def _refuse_event(put: Component, items: list[Component], *, knobs: Knobs) -> Answer | None:
    if put.has("METHOD") and knobs.method_property == "403":
        return empty(403)
    if any(item.has("ATTENDEE") and not item.has("ORGANIZER") for item in items):
        return empty(403)
    events = [item for item in items if item.name == "VEVENT"]
    # QUIRK(icloud): a DURATION does not do instead, and the status is that of a missing resource.
    if not all(event.has("DTEND") for event in events):
        return empty(404)
    if content.zones_used(put) - content.zones_defined(put):
        return html_page(400) if knobs.missing_vtimezone == 400 else empty(403)
    stamps = [line for item in items for name in ("DTSTAMP", "CREATED", "LAST-MODIFIED") for line in item.all(name)]
    if not all(item.has("DTSTAMP") for item in items) or not all(line.value.strip().endswith("Z") for line in stamps):
        return _precondition("valid-calendar-data")
    return None


def _has_two_masters(items: list[Component]) -> bool:
    return sum(1 for item in items if not item.has("RECURRENCE-ID")) > 1


def _precondition(name: str) -> Answer:
    return dav_error(403, f"<{name} xmlns='{CALDAV}'/>")
