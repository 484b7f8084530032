"""Digests of rows, written with them and checked when they are read: a flipped bit must not make an hour free.

SQLite notices damage of its own structures, and none of what is stored in them.
"""

import hashlib
from collections.abc import Sequence

import msgspec

from busyd.store.members import tag_of


def digest_of(values: Sequence[object]) -> bytes:
    """Of everything that a row says."""
    return hashlib.blake2b(msgspec.msgpack.encode(values), digest_size=16).digest()


def check(values: Sequence[object], digest: bytes) -> None:
    """Raises msgspec.ValidationError for a row that is not as it was written."""
    if digest_of(values) != digest:
        raise msgspec.ValidationError("a row is not as it was written")


def checked_payload(payload: bytes, tag: str) -> bytes:
    """The payload whose tag this is. Raises msgspec.ValidationError for another one."""
    if tag_of(payload) != tag:
        raise msgspec.ValidationError("the text of an event is not as it was written")
    return payload
