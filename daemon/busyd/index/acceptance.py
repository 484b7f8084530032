"""Objects that a person has accepted although they cannot be understood: what is unknown of them no longer counts."""

from array import array
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from busyd.state.state import State
from busyd.store.occurrences import IndexEntry


def counted(state: State, entries: Iterable[IndexEntry]) -> Iterator[IndexEntry]:
    """The entries as they count: without what is not understood of an accepted object."""
    for entry in entries:
        yield without_unknown(entry) if state.problems.has_accepted(entry.object) else entry


def without_unknown(entry: IndexEntry) -> IndexEntry:
    """What is understood of an object."""
    flat, facts = entry.occurrences, entry.facts
    rows = zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
    kept = array("q", [value for row in rows if not facts[row[2]].unknown for value in row])
    return replace(entry, occurrences=kept, incomplete="")
