"""What is known of one profile: its links, and the snapshot that answers."""

import asyncio

from msgspec import Struct, field

from busyd.availability.building import Reading
from busyd.availability.profile import Profile
from busyd.availability.snapshot import Snapshot
from busyd.period import Period
from busyd.state.links import Link


class ProfileState(Struct):
    """A profile, what it is linked to, and its snapshot."""

    profile: Profile
    links: tuple[Link, ...] = ()
    """What the snapshot was made from, and what answers speak of."""
    next_links: tuple[Link, ...] = ()
    """As resolved last; they take effect together with the snapshot that is made from them."""
    snapshot: Snapshot | None = None
    readings: tuple[Reading, ...] | None = None
    """What the snapshot was built from; None for one that was restored."""
    restored: str = ""
    """The key of a snapshot that was restored and not built; empty once its readings are known."""
    key: str = ""
    """Names all that the snapshot was built from; profiles with the same key have the same snapshot."""
    version: int = 0
    """Grows with each new snapshot: what was made from an older one is worth nothing."""

    revision: int = 0
    """Grows whenever something changes that others may see of the profile."""
    building: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a snapshot is made: one of older tables must not be swapped in after one of newer ones."""

    def is_made_from(self, readings: tuple[Reading, ...], *, links: tuple[Link, ...], span: Period) -> bool:
        """Whether the snapshot is the one that these would make."""
        known = self.snapshot
        return known is not None and known.span == span and self.readings == readings and self.links == links

    def swap_in(self, snapshot: Snapshot, readings: tuple[Reading, ...]) -> bool:
        """Take a snapshot just built from these; whether it says anything else than the last one."""
        self.readings = readings
        if snapshot == self.snapshot:
            return False
        self.snapshot = snapshot
        self.version += 1
        return True

    def restore(self, snapshot: Snapshot, key: str) -> None:
        """Take a snapshot that was stored under this key; what it was built from is not known yet."""
        self.snapshot, self.restored = snapshot, key
        self.version += 1
