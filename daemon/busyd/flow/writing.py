"""What calendar apps write, written through: the server of the calendar first, then the mirror, then the answer.

Nothing is told before the server has said so, and nothing is kept for later. A write that was not carried out is a
change to the app: the member gets another version with the same bytes, so that what a phone has hidden comes back.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol

from msgspec import Struct

from busyd.booking.carrying import Client
from busyd.connection import ConnectionKind
from busyd.errors import RemoteError
from busyd.flow.collections import CollectionView
from busyd.flow.member_operations import DeleteMember, ForwardOperation, MemberOperation, MoveMember, PutMember
from busyd.flow.member_write import Conditions, MemberWrite, NotWritten, Obstacle, WrittenMember
from busyd.ical.acceptable import Unacceptable, check_object, with_ends
from busyd.index.writer import IndexWriter
from busyd.store.members import member_name
from busyd.store.mirror import CalendarRecord

__all__ = ["Conditions", "NotWritten", "ObjectWriter", "Obstacle", "Place", "UndisturbedConnection", "WrittenMember"]

_TURN_WITHIN: Final = 20.0
"""Seconds to wait for a poll under way."""


_MOST_UNSURE: Final = 100


class Place(Struct, frozen=True):
    """A member, there already or not."""

    collection: CollectionView
    name: str


class UndisturbedConnection(Protocol):
    """What is asked of the schedule of a connection."""

    @property
    def is_refused(self) -> bool: ...

    def undisturbed(self) -> AbstractAsyncContextManager[Client]:
        """Its client, while no poll is under way: what a poll has read before a write must not undo it."""


class ObjectWriter:
    """Writes the members of linked calendars."""

    def __init__(self, writer: IndexWriter, schedules: Callable[[], Mapping[str, UndisturbedConnection]]) -> None:
        self._writer = writer
        self._schedules = schedules
        self._unsure: deque[tuple[int, str, bytes]] = deque(maxlen=_MOST_UNSURE)
        """Calendar, name and bytes of writes that failed for now, and may be carried out late all the same."""
        self.elsewhere: Callable[[str], ForwardOperation | None] = lambda _: None
        """How to have another daemon write to a connection; None where this one does."""

    def is_writable(self, collection: CollectionView) -> bool:
        """Whether its server takes objects for it."""
        return self._is_writable(collection.calendar)

    def _is_writable(self, calendar: int) -> bool:
        record = self._writer.state.calendars.get(calendar)
        connection_state = self._writer.state.connections.get(record.connection) if record is not None else None
        if record is None or connection_state is None or connection_state.connection.kind is ConnectionKind.ICS:
            return False
        return record.complete and record.remote.writable

    async def put(
        self, collection: CollectionView, name: str, *, payload: bytes, conditions: Conditions
    ) -> WrittenMember:
        """Have a member be these bytes. Raises NotWritten, StorageError."""
        written = await self._have_done(PutMember(collection.calendar, name, payload, conditions))
        assert written is not None
        return written

    async def delete(self, collection: CollectionView, name: str, *, conditions: Conditions) -> None:
        """Remove a member. Raises NotWritten, StorageError."""
        await self._have_done(DeleteMember(collection.calendar, name, conditions))

    async def move(self, source: Place, target: Place, *, overwrite: bool, conditions: Conditions) -> WrittenMember:
        """Have a member be in another calendar of the same account. Raises NotWritten, StorageError."""
        there = target.collection.calendar, target.name
        operation = MoveMember(source.collection.calendar, source.name, *there, overwrite, conditions)
        written = await self._have_done(operation)
        assert written is not None
        return written

    async def _have_done(self, operation: MemberOperation) -> WrittenMember | None:
        send = self.elsewhere(self._writable(operation.calendar).connection)
        return await (send(operation) if send is not None else self.run(operation))

    async def run(self, operation: MemberOperation) -> WrittenMember | None:
        """Carry it out here. What the member is then, None when it is gone. Raises NotWritten, StorageError."""
        record = self._writable(operation.calendar)
        try:
            match operation:
                case PutMember():
                    return await self._put(record, operation)
                case DeleteMember():
                    async with self._turn(record) as client:
                        await MemberWrite(client, self._writer, record=record, name=operation.name).delete(
                            operation.conditions
                        )
                    return None
                case MoveMember():
                    return await self._move(record, operation)
        except NotWritten as error:
            if not (isinstance(operation, PutMember) and error.obstacle is Obstacle.CONDITION):
                await self._writer.store.touch_member(record.id, operation.name)
            raise

    async def _put(self, record: CalendarRecord, operation: PutMember) -> WrittenMember:
        name, payload, conditions = operation.name, operation.payload, operation.conditions
        member = await self._writer.store.read_member(record.id, name)
        # XML knows no CRLF (XML 1.0 §2.11): what a report brought into the mirror has other ends of lines.
        is_same = member is not None and member.tag and member.payload.splitlines() == payload.splitlines()
        unsure = (record.id, name, payload)
        if member is not None and is_same and (not conditions.absent or unsure in self._unsure):
            # RFC 9110 §13.1.1: what seems to have been done already may be told as done, whatever the condition.
            return WrittenMember(member.tag, False, member.payload == payload)
        try:
            sent = await self._checked(record, name, payload=payload)
            async with self._turn(record) as client:
                write = MemberWrite(client, self._writer, record=record, name=name)
                return await write.put(payload, sent=sent, conditions=conditions)
        except NotWritten as error:
            if error.obstacle is Obstacle.UNAVAILABLE:
                self._unsure.append(unsure)
            raise

    async def _move(self, record: CalendarRecord, operation: MoveMember) -> WrittenMember:
        other = self._writable(operation.to_calendar)
        if record.connection != other.connection:
            raise NotWritten(Obstacle.NO_PRIVILEGE, "an event cannot be moved to another account")
        member = await self._writer.store.read_member(record.id, operation.name)
        if member is not None and member.payload:
            await self._checked(other, operation.to_name, payload=member.payload, moved_from=record.id)
        async with self._turn(record) as client:
            write = MemberWrite(client, self._writer, record=record, name=operation.name)
            to = MemberWrite(client, self._writer, record=other, name=operation.to_name)
            return await write.move(to, overwrite=operation.overwrite, conditions=operation.conditions)

    async def refuse(self, collection: CollectionView, name: str) -> None:
        """A write was refused for want of a privilege: the app shall show again what is there. Raises StorageError."""
        if collection.made is None:
            await self._writer.store.touch_member(collection.calendar, name)
        else:
            await self._writer.store.touch_made(f"{collection.owner}/{collection.segment}", name)

    async def _checked(
        self, record: CalendarRecord, name: str, *, payload: bytes, moved_from: int | None = None
    ) -> bytes:
        """What is to be sent. Raises NotWritten."""
        try:
            checked = check_object(payload)
        except Unacceptable as error:
            raise NotWritten(Obstacle(error.defect.value), str(error)) from error
        if member_name(f"{record.remote.href}{name}") != name:
            raise NotWritten(Obstacle.OBJECT, "its name must end in .ics")
        known = await self._writer.store.names_with_uid(record.id, checked.uid) if moved_from != record.id else []
        others = [other for other in known if other != name]
        if others:
            raise NotWritten(Obstacle.UID_CONFLICT, "another event has this UID", other=others[0])
        # QUIRK(icloud): 404 for an event without an end, which apps take for a calendar that is gone.
        is_apple = self._writer.state.connections[record.connection].connection.kind is ConnectionKind.ICLOUD
        return with_ends(payload) if checked.lacks_end and is_apple else payload

    @contextlib.asynccontextmanager
    async def _turn(self, record: CalendarRecord) -> AsyncIterator[Client]:
        schedule = self._schedules().get(record.connection)
        if schedule is None or schedule.is_refused:
            raise NotWritten(Obstacle.UNAVAILABLE, f"{record.connection} cannot be written to at the moment")
        async with contextlib.AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(_TURN_WITHIN):
                    client = await stack.enter_async_context(schedule.undisturbed())
            except TimeoutError:
                raise NotWritten(Obstacle.UNAVAILABLE, f"{record.connection} is being read") from None
            except RemoteError as error:  # another daemon writes there
                raise NotWritten(Obstacle.UNAVAILABLE, str(error)) from error
            yield client

    def _writable(self, calendar: int) -> CalendarRecord:
        record = self._writer.state.calendars.get(calendar)
        if record is None or not self._is_writable(calendar):
            raise NotWritten(Obstacle.NO_PRIVILEGE, "this calendar cannot be written to")
        return record
