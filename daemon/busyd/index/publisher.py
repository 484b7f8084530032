"""Tables -> snapshots -> proofs -> log of changes: what the readers of an answer see, and when.

A proof is shown only once the snapshot holds what it proves; a change is told only once it can be seen.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from busyd.availability.building import Reading
from busyd.availability.snapshot import Snapshot, pack
from busyd.availability.splicing import Built, Rebuilt, rebuild_snapshot
from busyd.clock import Clock
from busyd.cooperative import in_slices, let_others_run
from busyd.index.changes import ChangeRecorder
from busyd.index.origins import DeletedObject, Sources
from busyd.index.told_snapshots import SnapshotStep
from busyd.index.version import index_version
from busyd.period import Period
from busyd.state.horizon import DAY, horizon_at
from busyd.state.links import Link, calendar_keys
from busyd.state.profile_state import ProfileState
from busyd.state.readings import readings_of, snapshot_key
from busyd.state.state import State
from busyd.store.bookings import Booking, connection_of
from busyd.store.changes import ChangeCause
from busyd.store.errors import StorageError
from busyd.store.mirror import CalendarRecord
from busyd.store.store import Store

logger = logging.getLogger(__name__)


class SnapshotPublisher:
    """Builds snapshots of the tables, swaps them in, keeps them for the next start, and then shows proofs."""

    def __init__(self, store: Store, state: State, *, clock: Clock, changes: ChangeRecorder | None = None) -> None:
        self.horizon = horizon_at(clock.now())
        """The span of time that the tables and the snapshots cover."""
        self.changing = asyncio.Lock()
        """Held while the stored index and the tables change together."""
        self.keeps: Callable[[ProfileState], bool] = lambda _: True
        """Whether the snapshot of a profile is kept by this daemon; of several, one does."""
        self._store, self._clock = store, clock
        self._state = state
        self._changes = changes
        self._built: dict[str, str] = {}
        """Key -> a profile with a snapshot of that key, which others may share."""
        self._last: tuple[Snapshot | None, Rebuilt] | None = None
        """The last snapshot that was built, and what it was built from."""

    def move_horizon(self, horizon: Period) -> None:
        """Cover another span of time from the next snapshots on."""
        self.horizon = horizon
        self._state.due.add(self._state.profiles)

    async def publish_snapshots(self, connections: Iterable[str] | None = None) -> None:
        """Build every snapshot that is not of what is known now, swap it in, and keep it for the next start.

        Of all profiles, or of those that name one of these connections. What another task is building is waited for.
        What has changed is then told; for single connections their poll has that done at its end, so that an event
        that moves from one calendar to another does not seem to be gone in between.
        """
        state = self._state
        if connections is None:
            names = list(state.due_snapshots())
        else:
            names = sorted({name for connection in connections for name in state.links.profiles_naming(connection)})
        await self.publish_profiles(names)
        if connections is None:
            await self.tell_changes()

    async def publish_profiles(self, names: Iterable[str]) -> None:
        """The same of these profiles."""
        state, names = self._state, list(names)
        due = state.due_snapshots(names)
        for name in names:
            profile_state = state.profiles.get(name)
            if profile_state is None or not (name in due or profile_state.building.locked()):
                continue
            async with profile_state.building:
                if name in due:
                    await self._publish(profile_state)
            await let_others_run()
        self._last = None

    async def show_rows(self, rows: Sequence[Booking]) -> None:
        """Take rows of the outbox just as they were committed, and have the snapshots that they concern hold them."""
        state = self._state
        concerned = {row.profile for row in rows}
        for written in {row.calendar for row in rows if row.calendar}:
            for name in state.links.profiles_naming(connection_of(written)) & state.profiles.keys():
                profile_state = state.profiles[name]
                if written in calendar_keys((*profile_state.links, *profile_state.next_links)):
                    concerned.add(name)
        concerned &= state.profiles.keys()
        state.own.take(rows)
        state.due.add(concerned)
        for name in concerned:
            if state.profiles[name].profile.slots.is_limited:  # how many there are matters, also in time that was busy
                state.publish(profile=name)
        await self.publish_profiles(sorted(concerned))
        if self._changes is not None:
            self._changes.note_rows(rows)
            await self._changes.tell(concerned, otherwise=ChangeCause.OWN)

    def note_deleted(self, calendar: CalendarRecord, objects: Mapping[int, tuple[str, str]]) -> None:
        """Ids with the hrefs and UIDs of objects that the mirror has just forgotten, for whoever tells of it."""
        if self._changes is not None and objects:
            gone = {number: DeletedObject(calendar.connection, *names) for number, names in objects.items()}
            self._changes.note_deleted(calendar.id, gone)

    async def show_refused(self, row: Booking, *, is_refused: bool) -> bool:
        """Take it that the account refuses what would settle a row, or no longer does; whether that is news."""
        refused = self._state.refused_writes
        if (row.id in refused) is is_refused:
            return False
        (refused.add if is_refused else refused.discard)(row.id)
        if self._changes is not None:
            self._changes.note_rows((row,))
            await self._changes.tell(())
        return True

    def lacking_tables(self, profiles: Collection[str]) -> set[str]:
        """Those of these profiles whose snapshot cannot be built, because a calendar of it was not loaded yet."""
        due = self._state.due_snapshots(profiles)
        return {
            name
            for name in profiles
            if name in due
            and (profile_state := self._state.profiles.get(name)) is not None
            and readings_of(self._state, profile_state, links=profile_state.next_links) is None
        }

    async def confirm(self, records: Sequence[CalendarRecord]) -> None:
        """Show new proofs, once the snapshots hold what they prove.

        Where one cannot be built, no proof of its calendars is shown: the last one grows old.
        """
        connections, links = {record.connection for record in records}, self._state.links
        await self.publish_snapshots(connections)
        naming = {name for connection in connections for name in links.profiles_naming(connection)}
        lacking = self.lacking_tables(naming)
        records = [record for record in records if lacking.isdisjoint(links.profiles_of(record.id))]
        read_anew = [record.id for record in records if self._is_read_anew(record)]
        self._state.confirm(records, monotonic=self._clock.monotonic())
        for calendar in read_anew:
            self._note(self._state.links.profiles_of(calendar))

    async def tell_changes(self, connections: Collection[str] | None = None) -> None:
        """Tell the log of changes what has become visible, of all profiles or of those that name a connection."""
        if self._changes is not None and connections is None:
            await self._changes.tell()
        elif self._changes is not None and connections is not None:
            names = {name for one in connections for name in self._state.links.profiles_naming(one)}
            await self._changes.tell(names, connections=connections)

    def key_of(self, profile_state: ProfileState, generations: Mapping[int, int], *, horizon: Period) -> str:
        """Names all that a snapshot of the profile depends on."""
        version = index_version(self._state.own_zones)
        return snapshot_key(
            self._state, profile_state, generations=generations, day=horizon.start // DAY, version=version
        )

    def _is_read_anew(self, record: CalendarRecord) -> bool:
        """Whether it counts as read by now and did not, or the other way round."""
        known = self._state.calendars.get(record.id)
        return (known is not None and known.is_read) != record.is_read

    def _note(self, profiles: Iterable[str], step: SnapshotStep | None = None) -> None:
        if self._changes is not None:
            self._changes.note(profiles, step)

    async def _publish(self, profile_state: ProfileState) -> None:
        state, name = self._state, profile_state.profile.name
        async with self.changing:
            links, horizon = profile_state.next_links, self.horizon
            readings = readings_of(state, profile_state, links=links)
            if readings is None:
                return
            if profile_state.is_made_from(readings, links=links, span=horizon):
                state.due.discard(name)
                return
            key = self.key_of(profile_state, state.tables.generations, horizon=horizon)
            state.due.discard(name)
        try:
            await self._build(profile_state, links, readings=readings, key=key, horizon=horizon)
        except BaseException:
            state.due.add((name,))
            raise

    async def _build(
        self,
        profile_state: ProfileState,
        links: tuple[Link, ...],
        *,
        readings: tuple[Reading, ...],
        key: str,
        horizon: Period,
    ) -> None:
        state, known, name = self._state, profile_state.snapshot, profile_state.profile.name
        if known is not None and profile_state.restored == key:
            profile_state.readings = readings  # it was stored when it was built from these
            self._remember(profile_state, key)
        profile_state.restored = ""
        before = profile_state.readings
        if known is None or before != readings or known.span != horizon:
            rebuilt = self._share(key, readings, before=known)
            if rebuilt is None:
                built = Built(known, before) if known is not None and before is not None else None
                rebuilt = await in_slices(rebuild_snapshot(built, readings, span=horizon))
                self._last = known, rebuilt
            snapshot = rebuilt.snapshot
            if profile_state.swap_in(snapshot, readings):
                state.publish(profile=name)
                self._note((name,), self._step(known, rebuilt, before=before, now=readings))
            self._remember(profile_state, key)
            await self._keep(profile_state, key, snapshot=snapshot)
        if profile_state.links != links:
            profile_state.links = links
            state.note_links(profile_state)
            state.publish(profile=name)
            self._note((name,))

    def _step(
        self, known: Snapshot | None, rebuilt: Rebuilt, *, before: tuple[Reading, ...] | None, now: tuple[Reading, ...]
    ) -> SnapshotStep | None:
        """How a snapshot became another one; None where there was none."""
        if known is None:
            return None
        calendars, sources = self._state.calendars, None
        if before is not None:
            records = (calendars.get(reading.calendar) for reading in (*before, *now))
            # What this snapshot will prove is confirmed after it.
            confirmed = {one.id: one.as_of for one in records if one is not None and one.as_of is not None}
            sources = Sources(before, now, confirmed)
        return SnapshotStep(known, rebuilt.snapshot, rebuilt.touched, sources)

    def _share(self, key: str, readings: tuple[Reading, ...], *, before: Snapshot | None) -> Rebuilt | None:
        """The snapshot of another profile that is made from the very same."""
        other = self._state.profiles.get(self._built.get(key, ""))
        if other is None or other.snapshot is None or other.key != key or other.readings != readings:
            return None
        if self._last is not None and self._last[0] is before and self._last[1].snapshot is other.snapshot:
            return self._last[1]
        return Rebuilt(other.snapshot, None)

    def _remember(self, profile_state: ProfileState, key: str) -> None:
        name = profile_state.profile.name
        if self._built.get(profile_state.key) == name:
            del self._built[profile_state.key]
        profile_state.key = key
        self._built[key] = name

    async def _keep(self, profile_state: ProfileState, key: str, *, snapshot: Snapshot) -> None:
        """A snapshot that cannot be kept costs the next start a moment, nothing else."""
        name = profile_state.profile.name
        if not self.keeps(profile_state):
            return
        try:
            await self._store.record_snapshot(name, key, body=pack(snapshot))
        except StorageError as error:
            logger.warning("the snapshot of profile %s was not kept: %s", name, error)
