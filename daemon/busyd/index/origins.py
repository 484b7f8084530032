"""Where changes of busy time come from: which events, rows and settings, for the log of changes. Keeps no titles."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from busyd.availability.building import Reading
from busyd.availability.difference import Change
from busyd.availability.origins import ObjectStep, find_objects
from busyd.cooperative import in_slices
from busyd.ical.stamps import stamps_of
from busyd.period import FbType, Instant
from busyd.state.own_rows import OWN
from busyd.state.state import State
from busyd.store.bookings import Booking
from busyd.store.changes import ChangeOrigin, EventOrigin, OwnOrigin
from busyd.store.mirror import StoredObject
from busyd.store.store import Store

MOST_EVENTS: Final = 5
"""Events that are named of one span."""
_MOST_READ: Final = 200
"""Objects that are read from the mirror for the changes of one profile."""
_MOST_NOTED: Final = 5000


class Sources(Struct, frozen=True):
    """What two snapshots were built from, and when the calendars had been confirmed before the first difference."""

    before: tuple[Reading, ...]
    now: tuple[Reading, ...]
    confirmed: Mapping[int, Instant]

    def followed_by(self, later: "Sources") -> "Sources":
        return Sources(self.before, later.now, {**later.confirmed, **self.confirmed})


class DeletedObject(Struct, frozen=True):
    """An object that the mirror no longer has."""

    connection: str
    href: str
    uid: str


class OriginFinder:
    """Says of changed spans where they come from."""

    def __init__(self, state: State, store: Store) -> None:
        self._state, self._store = state, store
        self._deleted: dict[tuple[int, int], DeletedObject] = {}
        """Calendar and id -> what was deleted, until it was told."""
        self._rows: dict[str, Booking] = {}
        """Rows of the outbox that have changed, until that was told."""

    def note_deleted(self, calendar: int, objects: Mapping[int, DeletedObject]) -> None:
        """Remember what the mirror is about to forget: it is asked for when the change is told."""
        self._deleted |= {(calendar, number): gone for number, gone in objects.items()}
        for surplus in list(self._deleted)[:-_MOST_NOTED]:
            del self._deleted[surplus]

    def note_rows(self, rows: Iterable[Booking]) -> None:
        """Remember rows that take other time than before."""
        self._rows |= {row.id: row for row in rows}

    def forget(self, profiles: Collection[str] | None, *, connections: Collection[str]) -> None:
        """Let go of what was noted for what is told by now: of all profiles and connections, or of these."""
        if profiles is None:
            self._deleted, self._rows = {}, {}
        else:
            kept = self._deleted.items()
            self._deleted = {key: gone for key, gone in kept if gone.connection not in connections}
            self._rows = {number: row for number, row in self._rows.items() if row.profile not in profiles}

    async def find(self, changes: Sequence[Change], sources: Sources) -> list[ChangeOrigin]:
        """Where each of these changes comes from. Raises StorageError."""
        old, new = (
            {reading.calendar: reading for reading in readings if reading.calendar != OWN}
            for readings in (sources.before, sources.now)
        )
        stretches = [(int(change.start), int(change.end)) for change in changes]
        steps = await in_slices(find_objects(tuple(old.values()), tuple(new.values()), stretches=stretches))
        wanted = {step.object: None for found in steps for step in found[:MOST_EVENTS]}
        stored = await self._store.read_objects_by_id(list(wanted)[:_MOST_READ])
        both = old.keys() & new.keys()
        others = [one for one in both if (old[one].rules, old[one].me) != (new[one].rules, new[one].me)]
        counts, no_longer, other_rules = (
            tuple(sorted(map(self._state.label_of, found)))
            for found in (new.keys() - old.keys(), old.keys() - new.keys(), others)
        )
        origins = []
        for change, found in zip(changes, steps, strict=True):
            events = [event for step in found[:MOST_EVENTS] for event in self._events(step, stored.get(step.object))]
            concerned = {step.calendar for step in found} & both - {*others} | {*change.calendars}
            origins.append(
                ChangeOrigin(
                    events=tuple(events),
                    more=len(found) - min(len(found), MOST_EVENTS),
                    own=self._own(change) if _has_other_rows(sources) else (),
                    confirmed={
                        self._state.label_of(calendar): at
                        for calendar, at in sources.confirmed.items()
                        if calendar in concerned
                    },
                    counts=counts,
                    counts_no_longer=no_longer,
                    other_rules=other_rules,
                )
            )
        return origins

    def _events(self, step: ObjectStep, stored: StoredObject | None) -> list[EventOrigin]:
        """An object that takes a span in another way; two where one was given the number of a deleted one."""
        record = self._state.calendars.get(step.calendar)
        label, collection = self._state.label_of(step.calendar), record.remote.href if record is not None else ""
        events = []
        gone = self._deleted.get((step.calendar, step.object)) if step.before is not FbType.FREE else None
        if gone is not None:
            events.append(EventOrigin(label, collection, gone.href, gone.uid, "deleted"))
        if stored is not None and (gone is None or step.now is not FbType.FREE):
            stamps = stamps_of(stored.payload)
            what: Literal["blocks", "changed", "released"] = "released"
            if step.now is not FbType.FREE:
                what = "blocks" if step.before is FbType.FREE or gone is not None else "changed"
            event = EventOrigin(label, collection, stored.href, stored.uid, what, stamps.created, stamps.modified)
            events.append(event)
        return events

    def _own(self, change: Change) -> tuple[OwnOrigin, ...]:
        """The rows that have changed and lie in the span; all that have changed where none does any more."""
        near = {
            number: row
            for number, row in self._rows.items()
            for span in (row.span, row.target)
            if span is not None and span.start < change.end and change.start < span.end
        }
        found = list((near or self._rows).values())[:MOST_EVENTS]
        return tuple(OwnOrigin(row.kind.value, row.id) for row in found)


def _has_other_rows(sources: Sources) -> bool:
    """Whether busyd's own rows take other time."""
    own = [
        [reading.tables for reading in readings if reading.calendar == OWN]
        for readings in (sources.before, sources.now)
    ]
    return own[0] != own[1]
