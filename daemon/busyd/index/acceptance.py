"""Objects that a person has accepted although they cannot be understood: what is unknown of them no longer counts."""

from array import array

from msgspec.structs import replace

from busyd.state.state import State
from busyd.store.occurrences import IndexEntry


def as_counted(state: State, entry: IndexEntry) -> IndexEntry:
    """An entry as it counts: without what is not understood, where its object is accepted."""
    return without_unknown(entry) if state.problems.has_accepted(entry.object) else entry


def without_unknown(entry: IndexEntry) -> IndexEntry:
    """What is understood of an object."""
    flat, facts = entry.occurrences, entry.facts
    rows = zip(flat[0::3], flat[1::3], flat[2::3], strict=True)
    kept = array("q", [value for row in rows if not facts[row[2]].unknown for value in row])
    return replace(entry, occurrences=kept, incomplete="")
