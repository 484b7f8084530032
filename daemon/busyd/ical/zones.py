"""Which zone a TZID means in one calendar object, for one profile. Not cached by TZID, never guessed silently.

The order is: IANA name or alias, the same without a vendor prefix, the person's own `time_zones`, Windows name by CLDR,
the VTIMEZONE of this object, its X-LIC-LOCATION, an offset or an abbreviation written as a name. What is none of these
may be anywhere on Earth, and is reported as a problem.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from busyd.ical.limits import MAX_ZONES
from busyd.ical.lines import all_properties, unescape
from busyd.ical.tzfile import forget_if_replaced, load_zone, tzdata_version, zone_names
from busyd.ical.zone_names import fixed_zone, windows_zone
from busyd.ical.zone_transitions import UTC, Zone

__all__ = ["UTC", "UnknownZone", "Zone", "Zones", "find_zone", "forget_outdated_zones", "iana_zone", "tzdata_version"]

OwnZones = Mapping[str, str]
"""Names that calendars use and nobody knows -> IANA names; the names in the form of `zone_key`."""
NO_OWN_ZONES: Final[OwnZones] = MappingProxyType({})

_LONGEST_NAME: Final = 64
"""Longer texts are not looked up, nor remembered."""
_VENDOR: Final = re.compile(r"/|[^/]*\.[^/]*/")


class UnknownZone(LookupError):
    """A name that is not a time zone."""


class UnknownPlace(Zone):
    """The zone of a name that nobody knows. A wall time is read at UTC+14; it may as well be 26 hours later."""

    __slots__ = ()
    spread = 26 * 3600

    def __init__(self, name: str) -> None:
        super().__init__(name, 14 * 3600, changes=())


@lru_cache(maxsize=4096)
def find_zone(tzid: str) -> Zone | None:
    """The zone that a TZID means everywhere: IANA, vendor prefix, Windows. None when only its object may define it."""
    zone = _database_zone(tzid)
    if zone is not None:
        return zone
    olson = windows_zone(_bare(tzid))
    return load_zone(olson) if olson is not None else None


@lru_cache(maxsize=4096)
def _database_zone(tzid: str) -> Zone | None:
    """The zone of an IANA name, in any case and behind any vendor's prefix."""
    name = _bare(tzid)
    zone = load_zone(name) or _in_another_case(name)
    if zone is not None or not _VENDOR.match(name):
        return zone
    parts = name.strip("/").split("/")
    for at in range(max(0 if name.startswith("/") else 1, len(parts) - 4), len(parts)):
        rest = "/".join(parts[at:])
        zone = load_zone(rest) or _in_another_case(rest)
        if zone is not None:
            return zone
    return None


def forget_outdated_zones() -> bool:
    """True when the time-zone data has been replaced since it was read: everything must be expanded again."""
    if not forget_if_replaced():
        return False
    find_zone.cache_clear()
    _database_zone.cache_clear()
    return True


def iana_zone(name: str) -> Zone | None:
    """The zone of an IANA name exactly as it is written in the database, or None: what a person may write."""
    return load_zone(name) if len(name) <= _LONGEST_NAME else None


def similar_name(text: str) -> str:
    """The IANA name that was probably meant: the one of that city, or one spelled nearly so; else empty."""
    from difflib import get_close_matches

    written = text.casefold().replace(" ", "_")
    names = zone_names()
    same_city = sorted(name for lower, name in names.items() if lower.rpartition("/")[2] == written)
    near = same_city or [names[lower] for lower in get_close_matches(text.casefold(), names, n=1)]
    return near[0] if near else ""


def reading_zone(name: str) -> Zone:
    """The zone of the reader. Raises UnknownZone when there is no such zone."""
    zone = find_zone(name)
    if zone is None:
        raise UnknownZone(name)
    return zone


class Zones:
    """The zones of one VCALENDAR for one reader. Notes whether the reader's zone was used."""

    __slots__ = (
        "_blocks",
        "_definitions",
        "_found",
        "_own",
        "_x_wr_timezone",
        "notes",
        "reader",
        "unknown",
        "used_reader",
    )

    def __init__(
        self, reader: Zone, blocks: list[str], *, x_wr_timezone: str = "", own: OwnZones = NO_OWN_ZONES
    ) -> None:
        self.reader = reader
        self._blocks = blocks
        self._own = own
        self._definitions: dict[str, str] | None = None
        self._found: dict[str, Zone] = {}
        self._x_wr_timezone = x_wr_timezone
        self.used_reader = False
        self.unknown: dict[str, str] = {}
        """Unknown TZIDs -> the reason, in order of appearance."""
        self.notes: dict[str, None] = {}
        """What was read leniently, each sentence once; whoever reports them empties it."""

    def named(self, tzid: str) -> Zone:
        """The zone of a TZID; an UnknownPlace for an unknown one (noted in `unknown`)."""
        zone = self._own_zone(tzid) if self._own else find_zone(tzid)
        if zone is not None:
            return zone
        key = zone_key(tzid)
        if key not in self._found:
            self._found[key] = self._from_object(tzid, key) or self._spelled(tzid) or UnknownPlace(tzid)
        return self._found[key]

    def of_time(self, tzid: str | None) -> Zone:
        """The zone of a DATE-TIME that is not UTC; for a floating one that of X-WR-TIMEZONE, else the reader's."""
        if tzid:
            return self.named(tzid)
        if self._x_wr_timezone:
            return self.named(self._x_wr_timezone)
        self.used_reader = True
        return self.reader

    def of_date(self) -> Zone:
        """The zone of a DATE: always the reader's, since an all-day event is a day where the person is."""
        self.used_reader = True
        return self.reader

    def _own_zone(self, tzid: str) -> Zone | None:
        zone = _database_zone(tzid)
        if zone is None and (own := self._own.get(zone_key(tzid))) is not None:
            zone = find_zone(own)
        return zone or find_zone(tzid)

    def _from_object(self, tzid: str, key: str) -> Zone | None:
        if self._definitions is None:
            self._definitions = {}
            for block in self._blocks:
                for name, _, value in all_properties(block):
                    if name == "TZID":
                        self._definitions.setdefault(zone_key(value), block)
                        break
        if key not in self._definitions:
            self.unknown[tzid] = "it is not an IANA or Windows name, and the object does not define it"
            return None
        if len(self._found) > MAX_ZONES:
            self.unknown[tzid] = "the object defines more time zones than busyd reads"
            return None
        # Imported only now: a zone that is known by name does not need the code for rules.
        from busyd.ical.vtimezone import UnreadableDefinition, read_definition

        block = self._definitions[key]
        try:
            return read_definition(tzid, block)
        except UnreadableDefinition as error:
            places = [value for name, _, value in all_properties(block) if name == "X-LIC-LOCATION"]
            located = find_zone(places[0]) if places else None
            if located is None:
                self.unknown[tzid] = f"its VTIMEZONE cannot be used: {error}"
            return located

    def _spelled(self, tzid: str) -> Zone | None:
        """An offset or an abbreviation in the place of a name, noted as read leniently."""
        zone = fixed_zone(_bare(tzid))
        if zone is not None:
            del self.unknown[tzid]
            self.notes[f"its time zone {tzid[:60]!r} is read as {zone.name} all year round"] = None
        return zone


def is_database_name(tzid: str) -> bool:
    """Whether the time-zone database has the name, in any case and behind any vendor's prefix."""
    return _database_zone(tzid) is not None


def zone_key(tzid: str) -> str:
    """A name of a zone in its form for comparison."""
    return _bare(tzid).lower()


def _bare(tzid: str) -> str:
    return unescape(tzid).strip().strip('"').strip()


def _in_another_case(name: str) -> Zone | None:
    exact = zone_names().get(name.lower())
    return load_zone(exact) if exact is not None else None
