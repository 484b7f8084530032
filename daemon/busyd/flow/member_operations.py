"""Writes of single members as values: what is to be done in a calendar, and what came of it.

Where several daemons share the connections, the one that polls a connection is also the one that writes to it; another
one that takes the request of an app sends it there.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec
from msgspec import Struct

from busyd.flow.member_write import Conditions, NotWritten, Obstacle, WrittenMember


class PutMember(Struct, frozen=True, tag="put"):
    """Have a member be these bytes."""

    calendar: int
    name: str
    payload: bytes
    conditions: Conditions


class DeleteMember(Struct, frozen=True, tag="delete"):
    """Remove a member."""

    calendar: int
    name: str
    conditions: Conditions


class MoveMember(Struct, frozen=True, tag="move"):
    """Have a member be in another calendar of the same account."""

    calendar: int
    name: str
    to_calendar: int
    to_name: str
    overwrite: bool
    conditions: Conditions


MemberOperation: TypeAlias = PutMember | DeleteMember | MoveMember
ForwardOperation: TypeAlias = Callable[[MemberOperation], Awaitable[WrittenMember | None]]
"""Has another daemon carry it out. Raises NotWritten, StorageError."""


class _Outcome(Struct, frozen=True, omit_defaults=True):
    written: WrittenMember | None = None
    obstacle: Obstacle | None = None
    why: str = ""
    other: str = ""


def pack_operation(operation: MemberOperation) -> bytes:
    """As it goes to another daemon."""
    return msgspec.msgpack.encode(operation)


def unpack_operation(packed: bytes) -> MemberOperation:
    """As `pack_operation` has packed it."""
    return msgspec.msgpack.decode(packed, type=MemberOperation)


def pack_outcome(outcome: WrittenMember | NotWritten | None) -> bytes:
    """What came of it: None for a member that is gone."""
    if isinstance(outcome, NotWritten):
        return msgspec.msgpack.encode(_Outcome(None, outcome.obstacle, str(outcome), outcome.other))
    return msgspec.msgpack.encode(_Outcome(outcome))


def unpack_outcome(packed: bytes) -> WrittenMember | None:
    """The same. Raises NotWritten where that is what came of it."""
    outcome = msgspec.msgpack.decode(packed, type=_Outcome)
    if outcome.obstacle is not None:
        raise NotWritten(outcome.obstacle, outcome.why, other=outcome.other)
    return outcome.written
