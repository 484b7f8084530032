"""What is known of objects that a server does not hand out as it lists them."""

from array import array
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from busyd.ical.facts import Facts, Problem, ProblemKind
from busyd.period import EARLIEST, LATEST, Period
from busyd.store.mirror import GHOST_ETAG, UNREAD_ETAG
from busyd.store.occurrences import ANY_ZONE, IndexEntry

_NOT_FETCHED: Final = "its server lists it but does not hand it out whole; busyd tries again every few minutes"
_OUTDATED: Final = "its server has another version of it than it hands out; busyd asks again until they agree"
_GHOST: Final = (
    "for more than an hour its server has listed it and not handed it out as listed, so only what busyd has of it"
    " counts; busyd asks again each day. If a calendar app still shows it, open it there and save or delete it"
)


def as_mirrored(object_id: int, entries: Sequence[IndexEntry], *, etag: str, span: Period) -> list[IndexEntry]:
    """The entries of an object by how it is mirrored: they may not be all there is to know of it.

    An unread one blocks the time it was last known to have, else any time. A ghost makes nothing incomplete.
    """
    if etag not in (UNREAD_ETAG, GHOST_ETAG):
        return list(entries)
    if etag == UNREAD_ETAG:
        return [_outdated(entry) for entry in entries] or [_not_fetched(object_id, span)]
    return [_ghost(entry) for entry in entries] or [_ghost(_nothing(object_id, span))]


def _nothing(object_id: int, span: Period) -> IndexEntry:
    return IndexEntry(object_id, ANY_ZONE, span, False, array("q"), ())


def _not_fetched(object_id: int, span: Period) -> IndexEntry:
    """Nothing is known of it, so it may be at any time."""
    return replace(
        _nothing(object_id, span),
        occurrences=array("q", [EARLIEST, LATEST, 0]),
        facts=(Facts(unknown=_NOT_FETCHED),),
        problems=(Problem(ProblemKind.UNREADABLE, "", _NOT_FETCHED),),
        incomplete=_NOT_FETCHED,
    )


def _outdated(entry: IndexEntry) -> IndexEntry:
    if entry.incomplete and entry.incomplete_since <= EARLIEST:
        return entry
    return replace(
        entry,
        problems=(*entry.problems, Problem(ProblemKind.UNREADABLE, "", _OUTDATED)),
        incomplete=entry.incomplete or _OUTDATED,
        incomplete_since=EARLIEST,
    )


def _ghost(entry: IndexEntry) -> IndexEntry:
    own = tuple(problem for problem in entry.problems if problem.reason not in (_OUTDATED, _GHOST))
    return replace(
        entry,
        problems=(*own, Problem(ProblemKind.GHOST, "", _GHOST)),
        incomplete="" if entry.incomplete == _OUTDATED else entry.incomplete,
    )
