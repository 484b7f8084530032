"""What a look at a calendar brought, with what was fetched for it."""

from collections.abc import Mapping

from msgspec import Struct, field

from busyd.store.mirror import CalendarRecord
from busyd.sync.plan import Look, SyncState


class SyncOutcome(Struct, frozen=True):
    """What a look at a calendar brought: its changes are stored, its token and what it lacks are not yet."""

    record: CalendarRecord
    state: SyncState
    look: Look
    missing: frozenset[str] = frozenset()
    """Listed, but left out or answered with 404 when they were fetched together."""
    outdated: frozenset[str] = frozenset()
    """Handed out as another version than listed; not stored."""
    fetched: int = 0
    uids: Mapping[str, str] = field(default_factory=dict)
    """Href -> UID of what the mirror has and the look lacks."""
    arrived: frozenset[str] = frozenset()
    """UIDs of the objects that are new here."""
    is_early: bool = False
    """The look was taken beside the listing, not after it: what the listing says of the calendar may be newer."""
    is_short: bool = False
    """Somebody waits for it: the second look that is due was not taken, or not all fetched again that it has named."""

    @property
    def changed(self) -> bool:
        """Whether this look saw anything that the one before had not, or should have seen something."""
        moved = self.look.sync_token != self.record.sync_token or self.record.remote.ctag != self.record.ctag
        return (
            bool(self.fetched or self.missing or self.outdated or self.look.plan.gone - self.state.doubts.keys())
            or moved
        )

    @property
    def listed(self) -> tuple[str | None, str | None]:
        """The ctag and the token of the listing that the mirror is then known to be as new as.

        None where the listing may be newer than an early look: unless both name the same token, which has moved.
        """
        record, token = self.record, self.look.sync_token
        if self.look.truncated:  # a state of which not all was listed is none that a later listing could confirm
            return None, None
        if self.is_early and token == record.sync_token:
            return record.ctag, record.listed_token
        if self.is_early and token != record.remote.sync_token:
            return None, None
        return record.remote.ctag, record.remote.sync_token
