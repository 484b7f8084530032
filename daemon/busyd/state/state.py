"""All that is known at this moment, in memory: profiles with their snapshots, calendars with their last proof.

The poll pipeline writes it, the ask pipeline reads it. It holds no connection to anything.
"""

import asyncio
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

from msgspec.structs import replace

from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.profile import Profile
from busyd.connection import Connection, ConnectionKind
from busyd.cooperative import in_slices
from busyd.ical.facts import normalise_addresses
from busyd.ical.zones import NO_OWN_ZONES, OwnZones
from busyd.state.connection_state import ConnectionState
from busyd.state.due import DueSnapshots
from busyd.state.link_map import LinkMap, connections_of
from busyd.state.link_notes import LinkNotes
from busyd.state.links import bind_rules, resolve_links
from busyd.state.own_rows import OwnRows
from busyd.state.postponed import PostponedObjects
from busyd.state.problems import KnownProblems
from busyd.state.profile_state import ProfileState
from busyd.state.proofs import Proofs
from busyd.state.storage_health import StorageHealth
from busyd.state.tables import Tables
from busyd.state.uncounted import UncountedTime
from busyd.store.mirror import CalendarRecord


class State:
    """The state of the backend. Whoever changes what others may see calls `publish`."""

    def __init__(self, connections: Iterable[Connection], profiles: Iterable[Profile], *, machine_zone: str) -> None:
        self.machine_zone = machine_zone
        self.own_zones: OwnZones = NO_OWN_ZONES
        """The person's names for time zones: `time_zones` of the configuration."""
        self.config_digest = ""
        """Of the configuration, where several daemons share a database; empty where one is alone."""
        self.connections = {connection.name: ConnectionState(connection) for connection in connections}
        self.profiles = {profile.name: ProfileState(profile) for profile in profiles}
        self.calendars: dict[int, CalendarRecord] = {}
        self.remembered: dict[str, dict[str, str]] = {}
        """Profile -> reference -> href of the calendar it means there, also after that was renamed."""
        self.recorded: dict[str, dict[str, str]] = {}
        """What of it is in the ledger for certain."""
        self.tables = Tables()
        self.links = LinkMap(profile_state.profile for profile_state in self.profiles.values())
        self._ids: dict[str, dict[int, None]] = {}
        """Connection -> its calendars, in their order."""
        self.due = DueSnapshots(self.profiles)
        self.problems = KnownProblems()
        self.proofs = Proofs()
        self.postponed = PostponedObjects()
        """Objects that could not be read because reading itself failed."""
        self.unknown_events: dict[int, tuple[str, ...]] = {}
        """Calendar -> the UIDs of events in it that busyd wrote and a restored ledger does not know."""
        self.uncounted: dict[int, UncountedTime] = {}
        self.departed: dict[str, ConnectionState] = {}
        """Connections that the configuration no longer has and some snapshot still speaks of."""
        self.table = FactsTable()
        self.own = OwnRows()
        self.refused_writes: set[str] = set()
        """Rows of the outbox of which the account refuses what would settle them."""
        self.link_notes = LinkNotes()
        self.storage = StorageHealth()
        self.refused_configuration = ""
        """Why the last reload changed nothing; empty when it was taken."""
        self.revision = 0
        """Grows whenever something changes that others may see; what was made from an older one is to be made anew."""
        self._published = asyncio.Event()

    def publish(self, *, connections: Iterable[str] | None = None, profile: str | None = None) -> None:
        """Show what has changed: raise the revisions, and wake whoever waits for it.

        Of one profile, or of all that name one of these connections; without either, of all.
        """
        if profile is not None:
            names: Iterable[str] = (profile,)
        elif connections is not None:
            names = {name for connection in connections for name in self.links.profiles_naming(connection)}
        else:
            names = self.profiles
        for name in names:
            if (changed := self.profiles.get(name)) is not None:
                changed.revision += 1
        self.revision += 1
        published, self._published = self._published, asyncio.Event()
        published.set()

    def publish_calendar(self, calendar: int) -> None:
        """The same of all that are linked to a calendar."""
        record = self.calendars.get(calendar)
        self.publish(connections=(record.connection,) if record is not None else None)

    async def changed_since(self, revision: int) -> int:
        """The revision, as soon as it is another than this one."""
        while self.revision == revision:
            await self._published.wait()
        return self.revision

    async def reconfigure(self, connections: Iterable[Connection], profiles: Iterable[Profile]) -> None:
        """Take a changed configuration. What stays configured keeps its state, and its snapshot until the next."""
        old_connections, old_profiles = self.connections, self.profiles
        self.connections = {}
        for connection in connections:
            state, known = ConnectionState(connection), old_connections.get(connection.name)
            if known is not None and known.is_same_account(connection):
                state = known
                state.connection = connection
            self.connections[connection.name] = state
        self.departed |= {name: state for name, state in old_connections.items() if name not in self.connections}
        # What is known of another account under the same name says nothing of this one.
        kept = {name for name, state in self.connections.items() if old_connections.get(name) is state}
        self._hold([record for record in self.calendars.values() if record.connection in kept])
        self.profiles = {}
        for profile in profiles:
            profile_state = old_profiles.get(profile.name, ProfileState(profile))
            profile_state.profile = profile
            self.profiles[profile.name] = profile_state
        for name in old_profiles.keys() - self.profiles.keys():
            self.links.forget(name)
            self.link_notes.forget(name)
            self.due.discard(name)
        await in_slices(self._relink(list(self.profiles)))
        self.publish()

    def take_calendars(self, records: Sequence[CalendarRecord]) -> None:
        """Take all calendars as the store has them, with their proofs, and resolve every reference anew, at once."""
        self._hold(records)
        for name, state in self.connections.items():
            state.listed = state.listed or bool(self._ids.get(name))
        for _ in self._relink(list(self.profiles)):
            pass
        self.publish()

    async def take_listing(self, connection: str, records: Sequence[CalendarRecord]) -> None:
        """Take a connection's calendars as they are listed now, but not yet any new proof: snapshots come first."""
        taken = []
        for record in records:
            if (known := self.calendars.get(record.id)) is None:
                self.tables.keep(record.id, ())  # the number may have been that of one which was forgotten
            as_of, complete = (known.as_of, known.complete) if known is not None else (None, False)
            taken.append(replace(record, as_of=as_of, complete=complete))
        for number in self._ids.pop(connection, ()):
            self.calendars.pop(number, None)
        self._add(taken)
        await in_slices(self._relink(list(self.links.profiles_naming(connection))))
        self.publish(connections=(connection,))

    def _hold(self, records: Iterable[CalendarRecord]) -> None:
        """Have exactly these calendars."""
        self.calendars, self._ids = {}, {}
        self._add(records)

    def _add(self, records: Iterable[CalendarRecord]) -> None:
        for record in records:
            self.calendars[record.id] = record
            self._ids.setdefault(record.connection, {})[record.id] = None

    def _relink(self, names: Iterable[str]) -> Generator[None, None, None]:
        """Resolve the references of these profiles; remembers what the named ones now mean. Yields between profiles."""
        for name in names:
            profile_state = self.profiles.get(name)
            if profile_state is None:
                continue  # a reload came in between
            profile = profile_state.profile
            listed, remembered = self._listed(profile_state), self.remembered.setdefault(name, {})
            links = resolve_links(
                profile,
                listed,
                remembered=remembered,
                partial={name: why for name in listed if (why := self.connections[name].partial)},
                machine_zone=self.machine_zone,
            )
            for link in links:
                if link.calendar is not None and not link.reference.is_wildcard:
                    remembered[str(link.reference)] = link.href
            bound = bind_rules(profile, listed, remembered=remembered)
            for reference, record in bound.items():
                remembered[str(reference)] = record.remote.href
            self.link_notes.take(profile, links, listed=listed, bound=bound)
            profile_state.next_links = links
            if profile_state.snapshot is None:
                profile_state.links = links
            self.note_links(profile_state)
            self.due.add((name,))
            yield

    def _listed(self, profile_state: ProfileState) -> Mapping[str, Sequence[CalendarRecord]]:
        """Connection -> its calendars, of those that a profile names and that were ever listed."""
        listed: dict[str, Sequence[CalendarRecord]] = {}
        for name in connections_of(profile_state.profile):
            state = self.connections.get(name)
            if state is not None and state.listed:
                listed[name] = [record for record in self.calendars_of(name) if state.owns(record)]
        return listed

    def note_links(self, profile_state: ProfileState) -> None:
        """To be called whenever the links of a profile have changed."""
        self.links.set(profile_state.profile, (*profile_state.links, *profile_state.next_links))

    def put_table(self, calendar: int, zone: str, *, table: OccurrenceTable) -> None:
        """Have a calendar's occurrences as it is read in a zone; the snapshots made from it are due."""
        self.tables.put(calendar, zone, table=table)
        self.due.add(self.links.profiles_of(calendar))

    def due_snapshots(self, among: Collection[str] | None = None) -> Mapping[str, None]:
        """The profiles whose snapshot may not be of what is known now; the same dict each time.

        `among`: it is only wanted which of these are.
        """
        if among is None:
            return self.due.find(self.connections, self.links)
        profiles = [self.profiles[name].profile for name in among if name in self.profiles]
        named = {name for profile in profiles for name in connections_of(profile)}
        return self.due.find({name: self.connections[name] for name in named & self.connections.keys()}, self.links)

    def confirm(self, records: Sequence[CalendarRecord], *, monotonic: float) -> None:
        """Take calendars whose proof, ctag or listing moved on, without any effect on links."""
        for record in records:
            known, asked = self.calendars.get(record.id), self.connection_state(record.connection).asked
            as_of = known.as_of if known is not None else None
            self.proofs.note(record, known=as_of, asked=asked, monotonic=monotonic)
            self.calendars[record.id] = record
            self._ids.setdefault(record.connection, {})[record.id] = None
        self.publish(connections={record.connection for record in records})

    def zones_of(self, calendar: int) -> frozenset[str]:
        """The zones in which profiles read a calendar; empty when nobody does."""
        return self.links.zones_of(calendar)

    def is_beyond(self, calendar: int) -> bool:
        """Whether a calendar has more occurrences than may be held."""
        return any(table.is_beyond for table in self.tables.of(calendar).values())

    def note_about(self, calendar: int) -> str:
        """A sentence for its owner when part of a calendar is not known for another reason than its server's."""
        tables = [table for table in self.tables.of(calendar).values() if table.is_beyond]
        beyond = [what.why for table in tables for what in table.incomplete.values()]
        return "; ".join(filter(None, (*beyond[:1], self.postponed.note(calendar))))

    def label_of(self, calendar: int) -> str:
        """How a person names a calendar, for the log."""
        record = self.calendars.get(calendar)
        return record.label if record is not None else f"calendar {calendar}"

    def calendars_of(self, connection: str) -> list[CalendarRecord]:
        """The calendars of a connection."""
        return [self.calendars[number] for number in self._ids.get(connection, ())]

    def linked_calendars(self, connection: str) -> list[CalendarRecord]:
        """The calendars of a connection that some profile counts or writes to."""
        return [record for record in self.calendars_of(connection) if self.links.profiles_of(record.id)]

    def addresses_for(self, state: ProfileState, connection: str) -> frozenset[str]:
        """Who "me" is in the calendars of a connection: the server's address set and the profile's own addresses."""
        own = self.connection_state(connection)
        return normalise_addresses((*own.addresses, *state.profile.addresses, own.connection.username))

    def connection_state(self, name: str) -> ConnectionState:
        """A connection; also one that was taken out of the configuration a moment ago, or was never in it."""
        if name in self.connections:
            return self.connections[name]
        return self.departed.setdefault(name, ConnectionState(Connection(name, ConnectionKind.CALDAV, "")))

    def calendars_beside(self, connection: str) -> set[int]:
        """The calendars of all profiles that name a connection, as they are linked and were until now."""
        states = [self.profiles[name] for name in self.links.profiles_naming(connection) & self.profiles.keys()]
        links = (link for state in states for link in (*state.links, *state.next_links))
        return {link.calendar for link in links if link.calendar is not None}

    def forget_unlinked(self, among: Collection[int] | None = None) -> None:
        """Let go of what no link speaks of any more; `among`: of these calendars, no other can have become so."""
        for calendar in self.tables.calendars if among is None else among:
            self.tables.keep(calendar, self.zones_of(calendar))
        if among is not None and not self.problems and not self.postponed.added.is_set():
            return
        linked = self.links.calendars & self.calendars.keys()
        self.problems.keep(linked)
        self.postponed.keep(linked)
        self.departed = {name: state for name, state in self.departed.items() if name in self.links.connections}
