"""One write of one member, on the client of its connection: send, look where that is needed, keep what is there.

A condition fails only after a look at what is there now. Of a write without an answer the outcome is looked for. What
the server holds afterwards is read back, so that the mirror has its bytes and not ours.
"""

from enum import StrEnum
from typing import Final
from urllib.parse import quote

from msgspec import Struct

from busyd.booking.carrying import Client
from busyd.dav.exchange import Operation
from busyd.dav.href import ETag, is_same_etag, normalise_href
from busyd.dav.objects import (
    FetchedObject,
    Refused,
    WriteOutcome,
    Written,
    delete_object,
    fetch_object,
    move_object,
    put_object,
)
from busyd.errors import BusydError, DataError, RemoteError
from busyd.flow.kept_writes import keep_written
from busyd.ical.acceptable import check_object
from busyd.index.writer import IndexWriter
from busyd.store.members import MirroredMember
from busyd.store.mirror import GHOST_ETAG, NO_ETAG, UNREAD_ETAG, CalendarRecord

_UNKNOWN_ETAGS: Final = frozenset({UNREAD_ETAG, NO_ETAG, GHOST_ETAG})
_FAILED_CONDITION: Final = 412


class Obstacle(StrEnum):
    """Why a write was not carried out."""

    NO_PRIVILEGE = "need-privileges"
    CONDITION = "condition"
    """What is there is not what the app believes to be there."""
    ABSENT = "absent"
    UID_CONFLICT = "no-uid-conflict"
    DATA = "valid-calendar-data"
    OBJECT = "valid-calendar-object-resource"
    COMPONENT = "supported-calendar-component"
    TOO_LARGE = "max-resource-size"
    NO_SPACE = "quota-not-exceeded"
    UNAVAILABLE = "unavailable"
    """It may be carried out another time."""


class NotWritten(BusydError):
    """A write was not carried out, as far as is known."""

    def __init__(self, obstacle: Obstacle, why: str, *, other: str = "") -> None:
        super().__init__(why)
        self.obstacle = obstacle
        self.other = other
        """The name of the member that is in the way."""


class WrittenMember(Struct, frozen=True):
    """What a member is now."""

    tag: str
    is_new: bool
    is_verbatim: bool
    """Its bytes are those that were sent."""


class Conditions(Struct, frozen=True):
    """If-Match and If-None-Match of a request (RFC 9110 §13.1)."""

    tags: tuple[str, ...] = ()
    """One of them must be the current one; `*` is any."""
    absent: bool = False
    """There must be no such member."""
    others: tuple[str, ...] = ()
    """None of them may be the current one."""

    def hold(self, member: MirroredMember | None) -> bool:
        tag = member.tag if member is not None else ""
        if tag and (self.absent or any(is_same_etag(one, tag) for one in self.others)):
            return False
        return not self.tags or bool(tag and any(one == "*" or is_same_etag(one, tag) for one in self.tags))


class MemberWrite:
    """A write, while nobody else writes to the connection or reads it."""

    def __init__(self, client: Client, writer: IndexWriter, *, record: CalendarRecord, name: str) -> None:
        self._client = client
        self._writer = writer
        self._record = record
        self._name = name
        self._target = ""

    async def put(self, payload: bytes, *, sent: bytes, conditions: Conditions) -> WrittenMember:
        """Have the member be `payload`, of which `sent` goes to the server. Raises NotWritten, StorageError."""
        try:
            member = await self._held(conditions)
        except NotWritten:
            now = await self._member()
            if conditions.tags and now is not None and now.payload == payload:
                return WrittenMember(now.tag, False, True)  # it was written by an earlier try
            raise
        is_new = member is None or not member.payload
        before = ETag("") if member is None else await self._etag_of(member)
        if member is None:
            operation = put_object(self._target, sent, if_none_match=True)
        else:
            operation = put_object(self._target, sent, if_match=before)
        outcome = await self._carried_out(operation, sent, conditions=conditions)
        await self._mirror(await self._read_back(outcome, sent, before=before))
        now = await self._member()
        if now is None:
            raise NotWritten(Obstacle.UNAVAILABLE, "the event is written, and its server gives it another name")
        return WrittenMember(now.tag, is_new, now.payload == payload)

    async def delete(self, conditions: Conditions) -> None:
        """Remove the member. Raises NotWritten, StorageError."""
        member = await self._held(conditions)
        if member is None or not member.tag:
            raise NotWritten(Obstacle.ABSENT, "there is no such event")
        operation = delete_object(self._target, await self._etag_of(member))
        await self._carried_out(operation, b"", conditions=conditions)
        await self._prove_gone()

    async def move(self, other: "MemberWrite", *, overwrite: bool, conditions: Conditions) -> WrittenMember:
        """Have the member be another one, on the same server. Raises NotWritten, StorageError."""
        member, there = await self._held(conditions), await other._held(Conditions(absent=not overwrite))
        if member is None or not member.tag:
            raise NotWritten(Obstacle.ABSENT, "there is no such event")
        operation = move_object(self._target, other._target, if_match=await self._etag_of(member), overwrite=overwrite)
        try:
            outcome = await self._client.run(operation)
        except RemoteError as error:
            found = await other._look()
            if found is None or found.payload.split() != member.payload.split() or await self._look() is not None:
                raise unavailable(error) from error
            outcome = Written()
        if isinstance(outcome, Refused):
            await self._look()
            await other._look()
            raise _refusal(outcome)
        before = there.etag if there is not None else ""
        await other._mirror(await other._read_back(Written(), member.payload, before=before))
        await self._prove_gone()  # last: its time is never free in between
        now = await other._member()
        if now is None:
            raise NotWritten(Obstacle.UNAVAILABLE, "the event is moved, and its server gives it another name")
        return WrittenMember(now.tag, there is None or not there.payload, now.payload == member.payload)

    async def _held(self, conditions: Conditions) -> MirroredMember | None:
        """The member, when the conditions hold."""
        member = await self._member()
        if not conditions.hold(member):
            await self._look()
            member = await self._member()
        if not conditions.hold(member):
            raise NotWritten(Obstacle.CONDITION, "the event has changed meanwhile, or is gone")
        return member

    async def _carried_out(self, operation: Operation[WriteOutcome], sent: bytes, *, conditions: Conditions) -> Written:
        try:
            outcome = await self._client.run(operation)
        except RemoteError as error:
            if not getattr(error, "sent", True):
                raise unavailable(error) from error
            return await self._already_so(sent, otherwise=unavailable(error))
        if isinstance(outcome, Refused):
            refusal = _refusal(outcome)
            if outcome.status != _FAILED_CONDITION:
                raise refusal
            try:
                # An earlier try may have been carried out late.
                return await self._already_so(sent, otherwise=refusal)
            except NotWritten as error:
                raise await self._in_the_way(sent, conditions=conditions) or error from None
        return outcome

    async def _in_the_way(self, sent: bytes, *, conditions: Conditions) -> NotWritten | None:
        """Why a server has refused a condition that holds, as a look has just shown."""
        member = await self._member()
        is_there = member is not None and bool(member.payload)
        if not conditions.hold(member) or (is_there and not conditions.tags):
            return None
        if is_there or not sent:
            return NotWritten(Obstacle.UNAVAILABLE, "its server calls the event changed, and shows it unchanged")
        # QUIRK(icloud): a UID lives once in an account, and those of deleted events are kept for a minute.
        uid = check_object(sent).uid
        for record in self._writer.state.calendars_of(self._record.connection):
            if await self._writer.store.names_with_uid(record.id, uid):
                return NotWritten(Obstacle.UID_CONFLICT, f"an event in {record.label} has this UID")
        why = "it was deleted a moment ago, or is in a calendar that is not linked"
        return NotWritten(Obstacle.UNAVAILABLE, f"its server does not take the event now: {why}")

    async def _already_so(self, sent: bytes, *, otherwise: NotWritten) -> Written:
        """A look whether the member is what was sent; nothing, when it was to be removed. Raises `otherwise`."""
        found = await self._look()
        if (found.payload.split() if found is not None else []) != sent.split():
            raise otherwise
        return Written(found.etag or None if found is not None else None)

    async def _look(self) -> FetchedObject | None:
        """What is there now; the mirror has it too. Raises NotWritten when that cannot be seen."""
        try:
            found = await self._client.run(fetch_object(self._target))
        except (RemoteError, DataError) as error:
            raise unavailable(error) from error
        if found is None:
            await self._forget()
        else:
            await self._mirror(found)
        return found

    async def _read_back(self, outcome: Written, sent: bytes, *, before: str) -> FetchedObject:
        """What the server has made of a write; what was sent, where it cannot be read.

        Raises NotWritten when the server shows what was there before: it may lag, and it may have dropped the write.
        """
        try:
            found = await self._client.run(fetch_object(self._target))
        except (RemoteError, DataError):
            return FetchedObject(normalise_href(self._target), outcome.etag or ETag(UNREAD_ETAG), sent)
        if found is None:
            await self._forget()
        elif not before or found.payload.split() == sent.split() or not is_same_etag(found.etag, before):
            return found
        else:
            await self._mirror(found)
        raise NotWritten(Obstacle.UNAVAILABLE, "its server says that it has taken the event, and does not show it")

    async def _prove_gone(self) -> None:
        """Time is free when the server no longer shows what took it. Raises NotWritten."""
        if await self._look() is not None:
            raise NotWritten(Obstacle.UNAVAILABLE, "its server says that it has removed the event, and still shows it")

    async def _etag_of(self, member: MirroredMember) -> ETag:
        if member.etag not in _UNKNOWN_ETAGS:
            return ETag(member.etag)
        found = await self._look()
        if found is None or not found.etag:
            raise NotWritten(Obstacle.UNAVAILABLE, "its server does not say which version of the event it has")
        return found.etag

    async def _member(self) -> MirroredMember | None:
        member = await self._writer.store.read_member(self._record.id, self._name)
        own = f"{self._record.remote.target}{quote(self._name, safe='%')}"
        self._target = (member.spelling or member.href) if member is not None else own
        return member

    async def _mirror(self, found: FetchedObject) -> None:
        await self._keep(found.href, payload=found.payload, etag=found.etag)

    async def _forget(self) -> None:
        await self._keep(normalise_href(self._target), payload=b"", etag="")

    async def _keep(self, href: str, *, payload: bytes, etag: str) -> None:
        await keep_written(self._writer, self._record, href=href, payload=payload, etag=etag)
        await self._writer.publisher.tell_changes((self._record.connection,))


def unavailable(error: BusydError) -> NotWritten:
    """For what may go well another time."""
    return NotWritten(Obstacle.UNAVAILABLE, f"its server cannot be written to at the moment: {error}")


_BY_NAME: Final = {obstacle.value: obstacle for obstacle in Obstacle}
_BY_STATUS: Final = {
    **dict.fromkeys((301, 302, 303, 307, 308), Obstacle.UNAVAILABLE),
    403: Obstacle.NO_PRIVILEGE,
    405: Obstacle.NO_PRIVILEGE,
    412: Obstacle.CONDITION,
    413: Obstacle.TOO_LARGE,
    507: Obstacle.NO_SPACE,
}


def _refusal(refused: Refused) -> NotWritten:
    """What a server's refusal means: never its own status, which would mean something else here."""
    obstacle = _BY_NAME.get(refused.precondition or "") or _BY_STATUS.get(refused.status, Obstacle.DATA)
    said = f" ({refused.precondition})" if refused.precondition else ""
    return NotWritten(obstacle, f"its server refused it with status {refused.status}{said}")
