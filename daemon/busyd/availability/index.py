"""A payload -> its entry in the busy index: the occurrences inside a span, each with its facts. Applies no policy."""

from array import array
from collections.abc import Iterator

from msgspec import Struct

from busyd.ical.facts import Facts, Problem
from busyd.ical.parse import parse_object
from busyd.ical.recurrence import ExpandedObject, Row, expand
from busyd.ical.zones import NO_OWN_ZONES, OwnZones
from busyd.period import EARLIEST, LATEST, FbType, Period

__all__ = ["IndexedObject", "PackedObject", "Row", "index_object", "pack_object", "postpone_object"]


class IndexedObject(Struct, frozen=True):
    """One calendar object, expanded over a span and read in one zone."""

    uid: str
    """The first UID in it; empty when there is none."""
    recurring: bool
    """The rows depend on the span, so another span needs another expansion; otherwise they are complete."""
    zone_dependent: bool
    """The rows depend on the zone they were read in: DATE or floating values, or an unknown TZID."""
    facts: tuple[Facts, ...]
    rows: list[Row]
    """(start, end, number of its facts), sorted, before travel time; including occurrences of no length.

    For a recurring object every row that overlaps the span widened by the object's own travel times.
    """
    problems: tuple[Problem, ...]
    incomplete: str = ""
    """Not empty: the time of something in the object is entirely unknown, for the reason stated here. It blocks
    nothing, but makes windows incomplete."""
    incomplete_since: int = EARLIEST
    """From when on: windows that end before it are complete."""


def index_object(payload: bytes, span: Period, *, zone: str, own_zones: OwnZones = NO_OWN_ZONES) -> IndexedObject:
    """Parse and expand one calendar object. Never raises because of its content; time and memory are bounded.

    `own_zones` are the person's names for time zones. Raises UnknownZone when `zone` is no time zone.
    """
    parsed = parse_object(payload)
    expanded = expand(parsed, span, zone=zone, own_zones=own_zones)
    if parsed.has_availability:
        _take_availability(expanded, payload, span=span, zone=zone, own_zones=own_zones)
    return IndexedObject(
        uid=parsed.uid,
        recurring=expanded.recurring,
        zone_dependent=expanded.zone_dependent,
        facts=tuple(expanded.facts),
        rows=expanded.rows,
        problems=tuple(expanded.problems),
        incomplete=expanded.incomplete,
        incomplete_since=expanded.incomplete_since,
    )


def _take_availability(
    expanded: ExpandedObject, payload: bytes, *, span: Period, zone: str, own_zones: OwnZones
) -> None:
    """Add what the VAVAILABILITY components (RFC 7953) of an object leave unavailable.

    RFC 4791 §7.10 does not mention them in a calendar collection, but a person who stored one there is not free then.
    """
    from busyd.ical.vavailability import read_availability

    unavailable = read_availability(payload, span, zone=zone, own_zones=own_zones)
    expanded.recurring = expanded.zone_dependent = True
    expanded.problems += [problem for problem in unavailable.problems if problem not in expanded.problems]
    numbers: dict[int, int] = {}
    for start, end, fbtype in unavailable.spans:
        if fbtype not in numbers:
            numbers[fbtype] = len(expanded.facts)
            expanded.facts.append(Facts(fbtype=FbType(fbtype)))
        expanded.rows.append((start, end, numbers[fbtype]))
    expanded.rows.sort()


class PackedObject(Struct, frozen=True):
    """The same in packed form, for other processes and the store: 24 bytes a row."""

    uid: str
    recurring: bool
    zone_dependent: bool
    facts: tuple[Facts, ...]
    occurrences: bytes
    """The rows, as an array of 64-bit integers in the byte order of this machine."""
    problems: tuple[Problem, ...] = ()
    incomplete: str = ""
    incomplete_since: int = EARLIEST
    postponed: bool = False
    """The object could not be parsed just now: it may be at any time, and parsing must be tried again."""

    @property
    def flat(self) -> "array[int]":
        """The rows in order: start, end, number of the facts."""
        flat = array("q")
        flat.frombytes(self.occurrences)
        return flat

    def rows(self) -> Iterator[Row]:
        flat = self.flat
        return zip(flat[0::3], flat[1::3], flat[2::3], strict=True)


def pack_object(indexed: IndexedObject) -> PackedObject:
    """Pack the result of `index_object`."""
    return PackedObject(
        uid=indexed.uid,
        recurring=indexed.recurring,
        zone_dependent=indexed.zone_dependent,
        facts=indexed.facts,
        occurrences=array("q", [number for row in indexed.rows for number in row]).tobytes(),
        problems=indexed.problems,
        incomplete=indexed.incomplete,
        incomplete_since=indexed.incomplete_since,
    )


def postpone_object(why: str) -> PackedObject:
    """The entry of an object that could not be parsed just now: it may be at any time."""
    return PackedObject(
        uid="",
        recurring=False,
        zone_dependent=False,
        facts=(Facts(unknown=why),),
        occurrences=array("q", (EARLIEST, LATEST, 0)).tobytes(),
        incomplete=why,
        postponed=True,
    )
