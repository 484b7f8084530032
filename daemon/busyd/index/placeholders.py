"""What is known of objects that a server lists and does not hand out: that they may be at any time."""

from array import array
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from busyd.ical.facts import Facts, Problem, ProblemKind
from busyd.period import EARLIEST, LATEST, Period
from busyd.store.occurrences import ANY_ZONE, IndexEntry

_NOT_FETCHED: Final = "its server lists it but does not hand it out whole; busyd tries again every few minutes"
_OUTDATED: Final = "its server has changed it but does not hand it out whole; busyd tries again every few minutes"


def not_fetched(object_id: int, span: Period) -> IndexEntry:
    """What is known of an object that its server lists and does not hand out: nothing, so it may be at any time."""
    nothing = IndexEntry(object_id, ANY_ZONE, span, False, array("q"), ())
    return _at_any_time(nothing, _NOT_FETCHED)


def outdated(entries: Iterable[IndexEntry]) -> list[IndexEntry]:
    """What is known of an object that has changed and is not handed out: it may be at any time now."""
    return [
        entry if entry.incomplete and entry.incomplete_since <= EARLIEST else _at_any_time(entry, _OUTDATED)
        for entry in entries
    ]


def _at_any_time(entry: IndexEntry, why: str) -> IndexEntry:
    everywhere = array("q", [EARLIEST, LATEST, len(entry.facts)])
    return replace(
        entry,
        recurring=False,
        occurrences=entry.occurrences + everywhere,
        facts=(*entry.facts, Facts(unknown=why)),
        problems=(*entry.problems, Problem(ProblemKind.UNREADABLE, "", why)),
        incomplete=why,
        incomplete_since=EARLIEST,
    )
