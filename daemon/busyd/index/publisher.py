"""Tables -> snapshots -> proofs: what the readers of an answer see, and when.

A proof is shown only once the snapshot holds what it proves.
"""

import asyncio
import logging
from collections.abc import Sequence

from busyd.availability.snapshot import Snapshot, pack
from busyd.availability.splicing import Built, rebuild_snapshot
from busyd.clock import Clock
from busyd.cooperative import in_slices
from busyd.index.version import index_version
from busyd.period import Period
from busyd.state.horizon import DAY, horizon_at
from busyd.state.profile_state import ProfileState
from busyd.state.state import State
from busyd.store.errors import StorageError
from busyd.store.mirror import CalendarRecord
from busyd.store.store import Store

logger = logging.getLogger(__name__)


class SnapshotPublisher:
    """Builds snapshots of the tables, swaps them in, keeps them for the next start, and then shows proofs."""

    def __init__(self, store: Store, state: State, *, clock: Clock) -> None:
        self.horizon = horizon_at(clock.now())
        """The span of time that the tables and the snapshots cover."""
        self.changing = asyncio.Lock()
        """Held while the stored index and the tables change together."""
        self._store = store
        self._state = state
        self._building = asyncio.Lock()

    async def publish_snapshots(self) -> None:
        """Build anew every snapshot that is not of what is known now, swap it in, and keep it for the next start."""
        for profile_state in list(self._state.profiles.values()):
            # One at a time: a snapshot of older tables must not be swapped in after one of newer ones.
            async with self._building:
                await self._publish(profile_state)

    async def confirm(self, records: Sequence[CalendarRecord]) -> None:
        """Show new proofs, once the snapshots hold what they prove."""
        await self.publish_snapshots()
        self._state.confirm(records)

    def key_of(self, profile_state: ProfileState, generation: int, *, horizon: Period) -> str:
        """Names all that a snapshot of the profile depends on."""
        return self._state.snapshot_key(
            profile_state, generation=generation, day=horizon.start // DAY, version=index_version(self._state.own_zones)
        )

    async def _publish(self, profile_state: ProfileState) -> None:
        async with self.changing:
            generation = await self._store.generation()
            links, horizon = profile_state.next_links, self.horizon
            readings = self._state.readings(profile_state, links)
        if readings is None:
            return
        known = profile_state.snapshot
        if known is not None and profile_state.restored == self.key_of(profile_state, generation, horizon=horizon):
            # It was stored when it was built from these.
            profile_state.readings, profile_state.restored = readings, ""
        if known is None or profile_state.readings != readings or known.span != horizon:
            before = None
            if known is not None and profile_state.readings is not None:
                before = Built(known, profile_state.readings)
            rebuilt = await in_slices(rebuild_snapshot(before, readings, span=horizon))
            snapshot = rebuilt.snapshot
            if profile_state.swap_in(snapshot, readings):
                self._state.publish()
            if links is profile_state.next_links:
                await self._keep(
                    profile_state, self.key_of(profile_state, generation, horizon=horizon), snapshot=snapshot
                )
        if profile_state.links is not links:
            profile_state.links = links
            self._state.publish()

    async def _keep(self, profile_state: ProfileState, key: str, *, snapshot: Snapshot) -> None:
        """A snapshot that cannot be kept costs the next start a moment, nothing else."""
        name = profile_state.profile.name
        try:
            await self._store.record_snapshot(name, key, body=pack(snapshot))
        except StorageError as error:
            logger.warning("the snapshot of profile %s was not kept: %s", name, error)
