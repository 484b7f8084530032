"""Objects that a person has accepted although they cannot be understood: what is unknown of them no longer counts."""

from array import array
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from msgspec.structs import replace

from busyd.cooperative import in_slices
from busyd.state.state import State
from busyd.store.occurrences import ANY_ZONE, IndexEntry

if TYPE_CHECKING:
    from busyd.index.writer import IndexWriter


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


async def count_anew(writer: "IndexWriter", numbers: Iterable[int]) -> None:
    """Have tables and snapshots follow what is accepted, or no longer is, of some objects. Raises StorageError."""
    state = writer.state
    async with writer.publisher.changing:
        for number in numbers:
            noted = state.problems.get(number)
            if noted is None or state.is_beyond(noted[0].calendar):
                continue
            entries = await writer.store.entries_of(number)
            calendar = noted[0].calendar
            for zone, table in list(state.tables.of(calendar).items()):
                mine = [entry for entry in entries if entry.zone in (ANY_ZONE, zone)]
                if mine:
                    changed = table.changed({number: next(counted(state, mine))})
                    state.put_table(calendar, zone, table=await in_slices(changed))
    await writer.publisher.publish_snapshots()
    state.publish()
