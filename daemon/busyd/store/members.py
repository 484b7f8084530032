"""The members of the collections that busyd serves itself (RFC 4791 §4.2): names, versions and what became of them.

A member is an object of the mirror under a name of its own. Its tag says what its bytes are, its revision when they
last changed, counted for each collection; a member that is gone leaves a tombstone for thirty days (RFC 6578 §3.8).
"""

import hashlib
from typing import Final
from urllib.parse import quote, unquote

from msgspec import Struct

from busyd.store.mirror import is_other_version

TOMBSTONE_SECONDS: Final = 30 * 86_400
_LONGEST_NAME: Final = 255


class CollectionMark(Struct, frozen=True):
    """How far the changes of a collection have come."""

    epoch: str
    """Another text for every row of the store, so that no revision of one is taken for that of another."""
    revision: int
    """The newest change."""
    forgotten: int
    """The newest removal that is no longer told: who knows an older state must read everything."""


class Member(Struct, frozen=True):
    """A member and its version."""

    name: str
    """Its path segment, percent-encoded; ends in `.ics`."""
    tag: str
    revision: int
    size: int
    """Bytes."""


class MemberContent(Struct, frozen=True):
    """A member with its bytes."""

    tag: str
    payload: bytes


class MirroredMember(Struct, frozen=True):
    """A member as its server has it."""

    href: str
    spelling: str
    """Of the href by its server, where that is another way; else empty."""
    etag: str
    """Its server's."""
    tag: str
    payload: bytes


class MemberChange(Struct, frozen=True):
    """What has become of a member since a revision."""

    name: str
    tag: str
    """Empty when it is gone."""
    revision: int


def member_name(href: str) -> str | None:
    """The name under which an object is served: the last segment of its href where that is a plain one.

    None for the second version of an object, which is not served.
    """
    if is_other_version(href):
        return None
    last = href.rpartition("/")[2]
    text = unquote(last)
    is_plain = last.endswith(".ics") and len(last) <= _LONGEST_NAME and text.isprintable() and "/" not in text
    if is_plain and quote(text, safe="") == last:
        return last
    return f"{hashlib.blake2b(href.encode(errors='surrogatepass'), digest_size=16).hexdigest()}.ics"


def tag_of(payload: bytes) -> str:
    """Names the bytes; empty for none."""
    return hashlib.blake2b(payload, digest_size=12).hexdigest() if payload else ""
