"""What a report wants of each object's iCalendar data (RFC 4791 §9.6), as a value read from XML."""

from collections.abc import Mapping
from typing import Final, Self

from msgspec import Struct

from busyd.dav import names
from busyd.dav.filter import BadFilter, closed_window
from busyd.dav.xml import Element
from busyd.period import Period

_DEEPEST: Final = 8


class WantedComponent(Struct, frozen=True):
    """<!ELEMENT comp ((allprop | prop*), (allcomp | comp*))>"""

    properties: Mapping[str, bool] | None = None
    """Upper-case name -> whether its value is wanted too; None for all."""
    components: Mapping[str, "WantedComponent"] | None = None
    """By upper-case name; None for all, whole."""


class CalendarData(Struct, frozen=True):
    """<!ELEMENT calendar-data (comp?, (expand | limit-recurrence-set)?, limit-freebusy-set?)>

    limit-freebusy-set is accepted and has nothing to limit: no calendar here has VFREEBUSY components.
    """

    wanted: WantedComponent | None = None
    """Of the VCALENDAR; None for all of it."""
    expand: Period | None = None
    limit: Period | None = None
    """Overrides that have nothing to do with this span are left out."""

    @classmethod
    def from_xml(cls, report: Element) -> Self:
        """What a report asks for below its DAV:prop. Raises BadFilter."""
        element = report.find(f"{names.PROP}/{names.CALENDAR_DATA}")
        if element is None:
            return cls()
        kind, version = element.get("content-type", "text/calendar"), element.get("version", "2.0")
        if (kind.partition(";")[0].strip().lower(), version) != ("text/calendar", "2.0"):
            message = f"calendar-data comes as text/calendar of version 2.0, and not as {kind[:40]!r}"
            raise BadFilter(message, condition=names.SUPPORTED_CALENDAR_DATA)
        wanted = element.find(names.COMP)
        if wanted is not None and wanted.get("name", "").upper() != "VCALENDAR":
            raise BadFilter("the outermost comp of calendar-data must be VCALENDAR")
        windows = {
            name: closed_window(found)
            for name in (names.EXPAND, names.LIMIT_RECURRENCE_SET, names.LIMIT_FREEBUSY_SET)
            if (found := element.find(name)) is not None
        }
        return cls(
            _component(wanted, depth=0) if wanted is not None else None,
            windows.get(names.EXPAND),
            windows.get(names.LIMIT_RECURRENCE_SET),
        )


def _component(element: Element, *, depth: int) -> WantedComponent:
    """One that names nothing in it is wanted whole, as in the example of RFC 4791 §7.8.1."""
    properties = {
        prop.get("name", "").upper(): prop.get("novalue", "no") != "yes"
        for prop in element.iterchildren(names.CALENDAR_PROP)
    }
    inside = list(element.iterchildren(names.COMP))
    if depth >= _DEEPEST:
        raise BadFilter("the comp elements of calendar-data are nested too deeply")
    components = {inner.get("name", "").upper(): _component(inner, depth=depth + 1) for inner in inside}
    is_whole = not properties and not components
    has_all = is_whole or element.find(names.CALENDAR_ALLPROP) is not None
    all_inside = is_whole or element.find(names.CALENDAR_ALLCOMP) is not None
    return WantedComponent(None if has_all else properties, None if all_inside else components)
