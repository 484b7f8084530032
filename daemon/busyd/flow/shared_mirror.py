"""The mirror where several daemons write it: memory follows what the others write of the connections that they poll."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

from busyd.clock import Now
from busyd.connection import Connection
from busyd.index.loading import load_tables
from busyd.index.writer import IndexWriter
from busyd.state.connection_state import ConnectionState
from busyd.state.problems import version_of
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.occurrences import ANY_ZONE, IndexEntry
from busyd.sync.context import ConnectionContext, refresh_state, take_listing

logger = logging.getLogger(__name__)

_OTHER_ACCOUNT: Final = (
    "the daemon that reads it has another address or user name for it, so nothing is known of it here; configure it"
    " alike on all machines, and reload"
)


class MovedObjects(Protocol):
    """Objects of one calendar as they are now."""

    @property
    def entries(self) -> Mapping[int, list[IndexEntry] | None]:
        """One a reading zone; None for an object that is gone."""

    @property
    def names(self) -> Mapping[int, tuple[str, str]]:
        """Href and ETag of those that are there."""


class MovedCalendar(Protocol):
    """A calendar of which something has changed."""

    @property
    def id(self) -> int: ...

    @property
    def generation(self) -> int: ...

    @property
    def objects(self) -> MovedObjects | None:
        """None when it is to be read as a whole."""


class MovedConnection(Protocol):
    """A connection of which something has changed."""

    @property
    def account(self) -> AccountRecord | None: ...

    @property
    def calendars(self) -> Sequence[CalendarRecord]:
        """All of them as they are now."""

    @property
    def changed(self) -> Sequence[MovedCalendar]: ...


class SharedMirror:
    """Takes what others have written, in the order of every commit: tables, snapshots, proofs."""

    def __init__(self, writer: IndexWriter, ledger: LedgerThread) -> None:
        self._writer = writer
        self._ledger = ledger
        self.foreign: set[str] = set()
        """Connections that another daemon reads of another account than is configured here."""

    async def follow(self, name: str, moved: MovedConnection) -> None:
        """Have memory hold a connection as it is now in the mirror. Raises StorageError."""
        writer, state = self._writer, self._writer.state
        connection_state = state.connections.get(name)
        if connection_state is None:
            return
        if moved.account is not None and not _is_account_of(connection_state.connection, moved.account):
            await self._let_go(connection_state)
            return
        if name in self.foreign:
            self.foreign.discard(name)
            connection_state.trouble = ""
        is_other = not connection_state.listed
        if (account := moved.account) is not None:
            is_other |= (connection_state.addresses, connection_state.partial) != (account.addresses, account.partial)
            connection_state.addresses, connection_state.partial = account.addresses, account.partial
        context = ConnectionContext(connection_state=connection_state, writer=writer, ledger=self._ledger)
        async with writer.publisher.changing:
            # The links first: what has moved to a calendar that is new would be in neither.
            is_other |= await take_listing(context, moved.calendars, relink=is_other)
            for calendar in moved.changed:
                await self._take_calendar(calendar, moved.calendars)
        writer.store.members_revision += 1
        self._date(name, moved.calendars)
        await refresh_state(context, moved.calendars, relink=is_other)

    async def _let_go(self, connection_state: ConnectionState) -> None:
        """Know nothing of a connection: what there is would answer for somebody else."""
        state, name = self._writer.state, connection_state.connection.name
        if name not in self.foreign:
            logger.warning("%s: %s", name, _OTHER_ACCOUNT)
        self.foreign.add(name)
        connection_state.trouble = _OTHER_ACCOUNT
        if connection_state.listed:
            connection_state.listed, connection_state.partial = False, ""
            await state.take_listing(name, [])
            await self._writer.complete_tables()
        state.publish(connections=(name,))

    async def _take_calendar(self, calendar: MovedCalendar, records: Iterable[CalendarRecord]) -> None:
        writer, objects = self._writer, calendar.objects
        zones = list(writer.state.tables.of(calendar.id))
        if objects is None or not _are_read_in(objects.entries.values(), zones):
            for zone in zones:
                await load_tables(writer, calendar.id, zone=zone)
            return
        record = next(record for record in records if record.id == calendar.id)
        versions = {
            number: (href, version_of(record.connection, href, etag=etag, doubts=record.doubts))
            for number, (href, etag) in objects.names.items()
        }
        await writer.take_changes(calendar.id, dict(objects.entries), versions=versions, generation=calendar.generation)

    def _date(self, name: str, records: Iterable[CalendarRecord]) -> None:
        """What was proved last is at most so young: its second may have begun a whole one before it was dated."""
        clock, connection_state = self._writer.clock, self._writer.state.connections[name]
        newest = max((record.as_of for record in records if record.as_of is not None), default=None)
        if newest is not None:
            connection_state.asked = Now(newest, clock.monotonic() - max(0, clock.now() + 1 - newest))


def _is_account_of(connection: Connection, account: AccountRecord) -> bool:
    return (account.root, account.username) == (connection.url, connection.username)


def _are_read_in(objects: Iterable[list[IndexEntry] | None], zones: Iterable[str]) -> bool:
    """Whether all of them were read in these zones: the configuration of who has written them may lack one."""
    return all(
        any(entry.zone in (ANY_ZONE, zone) for entry in entries)
        for entries in objects
        if entries is not None
        for zone in zones
    )
