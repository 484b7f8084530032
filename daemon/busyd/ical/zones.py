"""Which zone a TZID means in one calendar object, for one profile. Not cached by TZID, never guessed silently.

The order is: IANA name or alias, the same without a vendor prefix, Windows name by CLDR, the VTIMEZONE of this object,
its X-LIC-LOCATION, and last the zone of the reader, which is reported as a problem.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from busyd.ical.limits import MAX_ZONES
from busyd.ical.lines import all_properties, unescape
from busyd.ical.tzfile import forget_if_replaced, load_zone, tzdata_version, zone_names
from busyd.ical.zone_transitions import UTC, Zone

__all__ = ["UTC", "UnknownZone", "Zone", "Zones", "find_zone", "forget_outdated_zones", "iana_zone", "tzdata_version"]

_LONGEST_NAME: Final = 64
"""Longer texts are not looked up, nor remembered."""
_VENDOR: Final = re.compile(r"/|[^/]*\.[^/]*/")


class UnknownZone(LookupError):
    """A name that is not a time zone."""


@lru_cache(maxsize=4096)
def find_zone(tzid: str) -> Zone | None:
    """The zone that a TZID means everywhere: IANA, vendor prefix, Windows. None when only its object may define it."""
    name = unescape(tzid).strip().strip('"').strip()
    zone = load_zone(name) or _in_another_case(name)
    if zone is not None:
        return zone
    if _VENDOR.match(name):
        parts = name.strip("/").split("/")
        for at in range(max(0 if name.startswith("/") else 1, len(parts) - 4), len(parts)):
            rest = "/".join(parts[at:])
            zone = load_zone(rest) or _in_another_case(rest)
            if zone is not None:
                return zone
    olson = _windows_zones().get(name.lower())
    return load_zone(olson) if olson is not None else None


def forget_outdated_zones() -> bool:
    """True when the time-zone data has been replaced since it was read: everything must be expanded again."""
    if not forget_if_replaced():
        return False
    find_zone.cache_clear()
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

    __slots__ = ("_blocks", "_definitions", "_found", "floating", "reader", "unknown", "used_reader")

    def __init__(self, reader: Zone, blocks: list[str], *, x_wr_timezone: str = "") -> None:
        self.reader = reader
        self._blocks = blocks
        self._definitions: dict[str, str] | None = None
        self._found: dict[str, Zone | None] = {}
        self.used_reader = False
        self.unknown: dict[str, str] = {}
        """Unknown TZIDs -> the reason, in order of appearance."""
        self.floating: Zone | None = self.named(x_wr_timezone) if x_wr_timezone else None
        """The zone of floating times if the calendar names one (Google and Apple: X-WR-TIMEZONE)."""

    def named(self, tzid: str) -> Zone | None:
        """The zone of a TZID, or None for an unknown one (noted in `unknown`)."""
        zone = find_zone(tzid)
        if zone is not None:
            return zone
        key = _key(tzid)
        if key not in self._found:
            self._found[key] = self._from_object(tzid, key)
        return self._found[key]

    def of_time(self, tzid: str | None) -> Zone:
        """The zone of a DATE-TIME that is not UTC; the reader's if none is given or known."""
        if tzid:
            named = self.named(tzid)
            if named is not None:
                return named
        elif self.floating is not None:
            return self.floating
        self.used_reader = True
        return self.reader

    def of_date(self) -> Zone:
        """The zone of a DATE: always the reader's, since an all-day event is a day where the person is."""
        self.used_reader = True
        return self.reader

    def _from_object(self, tzid: str, key: str) -> Zone | None:
        if self._definitions is None:
            self._definitions = {}
            for block in self._blocks:
                for name, _, value in all_properties(block):
                    if name == "TZID":
                        self._definitions.setdefault(_key(value), block)
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


def _key(tzid: str) -> str:
    return unescape(tzid).strip().strip('"').strip().lower()


def _in_another_case(name: str) -> Zone | None:
    exact = zone_names().get(name.lower())
    return load_zone(exact) if exact is not None else None


@lru_cache(maxsize=1)
def _windows_zones() -> dict[str, str]:
    """CLDR windowsZones, territory 001, by lower-case Windows name."""
    table = msgspec.json.decode(Path(__file__).with_name("windows_zones.json").read_bytes(), type=dict[str, str])
    table |= {"tzone://Microsoft/Utc": "Etc/UTC"}
    return {name.lower(): olson for name, olson in table.items()}
