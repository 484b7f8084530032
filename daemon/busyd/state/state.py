"""All that is known at this moment, in memory: profiles with their snapshots, calendars with their last proof.

The poll pipeline writes it, the ask pipeline reads it. It holds no connection to anything.
"""

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.building import Reading
from busyd.availability.occurrence_table import FactsTable, OccurrenceTable
from busyd.availability.profile import Profile
from busyd.connection import Connection, ConnectionKind
from busyd.ical.facts import Problem, normalise_address
from busyd.ical.zones import NO_OWN_ZONES, OwnZones
from busyd.state.connection_state import ConnectionState
from busyd.state.links import Link, bind_rules, resolve_links
from busyd.state.postponed import PostponedObjects
from busyd.state.profile_state import ProfileState
from busyd.store.mirror import CalendarRecord

logger = logging.getLogger(__name__)


class ObjectProblem(Struct, frozen=True):
    """A problem of one calendar object, for `/v1/status`."""

    calendar: int
    href: str
    problem: Problem


class State:
    """The state of the backend. Whoever changes what others may see calls `publish`."""

    def __init__(self, connections: Iterable[Connection], profiles: Iterable[Profile], *, machine_zone: str) -> None:
        self.machine_zone = machine_zone
        self.own_zones: OwnZones = NO_OWN_ZONES
        """The person's names for time zones: `time_zones` of the configuration."""
        self.connections = {connection.name: ConnectionState(connection) for connection in connections}
        self.profiles = {profile.name: ProfileState(profile) for profile in profiles}
        self.calendars: dict[int, CalendarRecord] = {}
        self.remembered: dict[str, str] = {}
        """Reference -> href of the calendar it means, also after that was renamed."""
        self.recorded: dict[str, str] = {}
        """What of it is in the ledger for certain."""
        self.tables: dict[tuple[int, str], OccurrenceTable] = {}
        """(calendar, reading zone) -> its occurrences; filled after the start has answered from stored snapshots."""
        self.problems: dict[int, tuple[ObjectProblem, ...]] = {}
        """Object -> what is wrong with it."""
        self.postponed = PostponedObjects()
        """Objects that could not be read because reading itself failed."""
        self.departed: dict[str, ConnectionState] = {}
        """Connections that the configuration no longer has and some snapshot still speaks of."""
        self.table = FactsTable()
        self.refused_configuration = ""
        """Why the last reload changed nothing; empty when it was taken."""
        self.revision = 0
        """Grows whenever something changes that others may see; what was made from an older one is to be made anew."""
        self._published = asyncio.Event()
        self._told: set[str] = set()
        """The notes of links that the log has already."""

    def publish(self) -> None:
        """Show what has changed: raise the revision and wake whoever waits for it."""
        self.revision += 1
        published, self._published = self._published, asyncio.Event()
        published.set()

    async def changed_since(self, revision: int) -> int:
        """The revision, as soon as it is another than this one."""
        while self.revision == revision:
            await self._published.wait()
        return self.revision

    def reconfigure(self, connections: Iterable[Connection], profiles: Iterable[Profile]) -> None:
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
        self.calendars = {number: record for number, record in self.calendars.items() if record.connection in kept}
        self.profiles = {}
        for profile in profiles:
            profile_state = old_profiles.get(profile.name, ProfileState(profile))
            profile_state.profile = profile
            self.profiles[profile.name] = profile_state
        self.relink()

    def take_calendars(self, records: Sequence[CalendarRecord]) -> None:
        """Take all calendars as the store has them, with their proofs, and resolve every reference anew."""
        self.calendars = {record.id: record for record in records}
        for name, state in self.connections.items():
            state.listed = state.listed or any(record.connection == name for record in records)
        self.relink()

    def take_listing(self, connection: str, records: Sequence[CalendarRecord]) -> None:
        """Take a connection's calendars as they are listed now, but not yet any new proof: snapshots come first."""
        others = {number: record for number, record in self.calendars.items() if record.connection != connection}
        for record in records:
            known = self.calendars.get(record.id)
            proof = (known.as_of, known.complete) if known is not None else (None, False)
            others[record.id] = replace(record, as_of=proof[0], complete=proof[1])
        self.calendars = others
        self.relink()

    def relink(self) -> None:
        """Resolve the references of every profile; remembers what the named ones now mean."""
        by_connection: dict[str, list[CalendarRecord]] = {
            name: [] for name, state in self.connections.items() if state.listed
        }
        for record in self.calendars.values():
            state = self.connections.get(record.connection)
            if state is not None and state.owns(record):
                by_connection.setdefault(record.connection, []).append(record)
        for profile in self.profiles.values():
            profile.next_links = resolve_links(
                profile.profile,
                by_connection,
                remembered=self.remembered,
                partial={name: state.partial for name, state in self.connections.items() if state.partial},
                machine_zone=self.machine_zone,
            )
            for link in profile.next_links:
                if link.calendar is not None and not link.reference.is_wildcard:
                    self.remembered[str(link.reference)] = link.href
            for reference, record in bind_rules(profile.profile, by_connection, remembered=self.remembered).items():
                self.remembered[str(reference)] = record.remote.href
            self._tell_notes(profile.next_links)
            if profile.snapshot is None:
                profile.links = profile.next_links
        self.publish()

    def _tell_notes(self, links: Iterable[Link]) -> None:
        """Log what is to be known about links, once each."""
        for note in [link.note for link in links if link.note]:
            if note not in self._told:
                self._told.add(note)
                logger.warning("%s", note)

    def confirm(self, records: Iterable[CalendarRecord]) -> None:
        """Take calendars whose proof, ctag or listing moved on, without any effect on links."""
        for record in records:
            self.calendars[record.id] = record
        self.publish()

    def zones_of(self, calendar: int) -> set[str]:
        """The zones in which profiles read a calendar; empty when nobody does."""
        return {
            link.zone
            for state in self.profiles.values()
            for link in (*state.links, *state.next_links)
            if link.calendar == calendar
        }

    def is_beyond(self, calendar: int) -> bool:
        """Whether a calendar has more occurrences than may be held."""
        return any(tables.is_beyond for (number, _), tables in self.tables.items() if number == calendar)

    def note_about(self, calendar: int) -> str:
        """A sentence for its owner when part of a calendar is not known for another reason than its server's."""
        beyond = [what.why for (number, _), tables in self.tables.items() if number == calendar and tables.is_beyond
                  for what in tables.incomplete.values()]  # fmt: skip
        return "; ".join(filter(None, (*beyond[:1], self.postponed.note(calendar))))

    def label_of(self, calendar: int) -> str:
        """How a person names a calendar, for the log."""
        record = self.calendars.get(calendar)
        return record.label if record is not None else f"calendar {calendar}"

    def linked_calendars(self, connection: str) -> list[CalendarRecord]:
        """The calendars of a connection that some profile counts or writes to."""
        return [
            record for record in self.calendars.values() if record.connection == connection and self.zones_of(record.id)
        ]

    def addresses_for(self, state: ProfileState, connection: str) -> frozenset[str]:
        """Who "me" is in the calendars of a connection: the server's address set and the profile's own addresses."""
        own = self.connection_state(connection)
        written = (*own.addresses, *state.profile.addresses, own.connection.username)
        return frozenset(normalise_address(address) for address in written if address)

    def readings(self, state: ProfileState, links: Iterable[Link]) -> tuple[Reading, ...] | None:
        """What a snapshot of the profile is built from; None while some column is not loaded yet."""
        readings = []
        for link in links:
            if link.calendar is None or not link.blocks:
                continue
            tables = self.tables.get((link.calendar, link.zone))
            if tables is None:
                return None
            me = self.addresses_for(state, link.reference.connection)
            rules = replace(link.rules, origin={})  # where a rule is written down changes no answer
            readings.append(Reading(tables, rules, me, link.calendar))
        return tuple(readings)

    def snapshot_key(self, state: ProfileState, *, generation: int, day: int, version: str) -> str:
        """Names everything a snapshot depends on, so that a stored one is used only when it would be built the same."""
        parts = [str(generation), str(day), version]
        for link in state.next_links:
            if link.blocks:
                me = sorted(self.addresses_for(state, link.reference.connection))
                rules = replace(link.rules, origin={})  # where a rule is written down changes no answer
                parts.append(repr((link.calendar, link.zone, rules, me)))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def connection_state(self, name: str) -> ConnectionState:
        """A connection; also one that was taken out of the configuration a moment ago, or was never in it."""
        if name in self.connections:
            return self.connections[name]
        return self.departed.setdefault(name, ConnectionState(Connection(name, ConnectionKind.CALDAV, "")))

    def forget_unlinked(self) -> None:
        """Let go of what no link speaks of any more."""
        wanted = {(number, zone) for number in self.calendars for zone in self.zones_of(number)}
        self.tables = {key: tables for key, tables in self.tables.items() if key in wanted}
        linked = {number for number, _ in wanted}
        self.problems = {number: noted for number, noted in self.problems.items() if noted[0].calendar in linked}
        self.postponed.keep(linked)
        spoken_of = {link.reference.connection for state in self.profiles.values() for link in state.links}
        self.departed = {name: state for name, state in self.departed.items() if name in spoken_of}
