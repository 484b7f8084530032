"""A payload -> what the busy index keeps of it: occurrences inside a span, each with its facts. No opinion."""

from msgspec import Struct

from busyd.ical.facts import Facts, Problem
from busyd.ical.parse import parse_object
from busyd.ical.recurrence import Expansion, Row, expand
from busyd.period import FbType, Period

__all__ = ["IndexedObject", "Row", "index_object"]


class IndexedObject(Struct, frozen=True):
    """One calendar object, expanded over a span and read in one zone."""

    uid: str
    """The first UID in it; empty when there is none."""
    recurring: bool
    """The rows depend on the span and must be expanded again for another one; otherwise they are all there are."""
    zone_dependent: bool
    """The rows depend on the reading zone: DATE or floating values, or a TZID that nobody knows."""
    facts: tuple[Facts, ...]
    rows: list[Row]
    """(start, end, number of its facts), sorted, before travel time; occurrences of no length are there too.

    For a recurring object every row that overlaps the span widened by the object's own travel times.
    """
    problems: tuple[Problem, ...]
    incomplete: str = ""
    """Not empty: nobody can say when something in the object takes place. Nothing is blocked by it, but no window can
    be called complete; the sentence says why."""


def index_object(payload: bytes, span: Period, zone: str) -> IndexedObject:
    """Read and expand one calendar object. Never raises for what is in it; time and memory are bounded.

    Raises UnknownZone when `zone` is no time zone.
    """
    parsed = parse_object(payload)
    found = expand(parsed, span, zone)
    if parsed.has_availability:
        _take_availability(found, payload, span, zone)
    return IndexedObject(
        uid=parsed.uid,
        recurring=found.recurring,
        zone_dependent=found.zone_dependent,
        facts=tuple(found.facts),
        rows=found.rows,
        problems=tuple(found.problems),
        incomplete=found.incomplete,
    )


def _take_availability(found: Expansion, payload: bytes, span: Period, zone: str) -> None:
    """Add what the VAVAILABILITY components (RFC 7953) of an object leave unavailable.

    RFC 4791 §7.10 says nothing of them in a calendar collection; whoever stored one there was not to be called free.
    """
    from busyd.ical.availability import read_availability

    unavailable = read_availability(payload, span, zone)
    found.recurring = found.zone_dependent = True
    found.problems += [problem for problem in unavailable.problems if problem not in found.problems]
    numbers: dict[int, int] = {}
    for start, end, fbtype in unavailable.spans:
        if fbtype not in numbers:
            numbers[fbtype] = len(found.facts)
            found.facts.append(Facts(fbtype=FbType(fbtype)))
        found.rows.append((start, end, numbers[fbtype]))
    found.rows.sort()
