"""Snapshots as they are told: what is answered of a profile, and how one became another."""

from msgspec import Struct

from busyd.availability.snapshot import Snapshot, nothing_known, unpack
from busyd.availability.splicing import Touched
from busyd.index.origins import Sources
from busyd.period import coalesce
from busyd.state.profile_state import ProfileState
from busyd.state.state import State


class SnapshotStep(Struct, frozen=True):
    """From one snapshot to another, over any number of builds."""

    before: Snapshot
    now: Snapshot
    touched: tuple[Touched, ...] | None
    """By calendar; None when something else than the tables has changed."""
    sources: Sources | None = None
    """None while that is not known, as after a start."""

    def followed_by(self, later: "SnapshotStep") -> "SnapshotStep":
        sources = self.sources.followed_by(later.sources) if self.sources and later.sources else None
        if self.now is not later.before or self.touched is None or later.touched is None:
            return SnapshotStep(self.before, later.now, None, sources)
        stretches: dict[int, list[tuple[int, int]]] = {}
        for one in (*self.touched, *later.touched):
            stretches.setdefault(one.calendar, []).extend(one.stretches)
        touched = tuple(Touched(calendar, tuple(coalesce(found))) for calendar, found in stretches.items())
        return SnapshotStep(self.before, later.now, touched, sources)


def as_answered(state: State, profile_state: ProfileState) -> Snapshot:
    """The snapshot of a profile; while one of its calendars was never read, one that knows nothing."""
    snapshot = profile_state.snapshot
    assert snapshot is not None
    blocking = [state.calendars.get(link.calendar or 0) for link in profile_state.links if link.blocks]
    is_read = blocking and all(record is not None and record.is_read for record in blocking)
    return snapshot if is_read else nothing_known(snapshot.span)


def is_unread(snapshot: Snapshot) -> bool:
    """Whether it knows nothing."""
    return snapshot == nothing_known(snapshot.span)


def unpacked(stored: bytes) -> Snapshot | None:
    """As it was kept with the entries; None when that is damaged."""
    try:
        return unpack(stored)
    except ValueError:
        return None
