"""The linked calendars of a profile as collections (RFC 4791 §4.2), for the CalDAV server: read from the mirror alone.

Any number of clients costs no request to a remote, and a remote that is down takes nothing away from them.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final, Self

from msgspec import Struct

from busyd.errors import BusydError
from busyd.index.writer import IndexWriter
from busyd.period import Period
from busyd.state.links import Link
from busyd.store.members import CollectionMark, Member, MemberChange, MemberContent, member_name
from busyd.store.mirror import CalendarRecord

TOKEN_SCHEME: Final = "busyd:sync/"
_TOKEN: Final = re.compile(rf"{TOKEN_SCHEME}([0-9a-f]+)/([0-9a-f]+)/([0-9]{{1,18}})")


class InvalidToken(BusydError):
    """A sync token that this collection did not give out, or too long ago (RFC 6578 §3.2)."""


class MadeMember(Struct, frozen=True):
    """A member that is not in the mirror: an event of busyd's own making."""

    tag: str
    payload: bytes
    span: Period


class CollectionView(Struct, frozen=True):
    """One calendar as a collection of the server."""

    segment: str
    """Its path segment: opaque, and the same for as long as the calendar is the same one of its server."""
    name: str
    """Never empty."""
    calendar: int
    mark: CollectionMark
    link: Link | None = None
    """How it counts for the profile."""
    made: Mapping[str, MadeMember] | None = None
    """Its members, where they are not those of a calendar in the mirror."""
    color: str = ""
    """`#RRGGBB`, if its server has one."""
    transparent: bool = False

    @classmethod
    def of_made(cls, segment: str, name: str, *, members: Mapping[str, MadeMember]) -> Self:
        """A collection that is what these members are."""
        state = hashlib.blake2b(digest_size=8)
        for member, made in sorted(members.items()):
            state.update(f"{member}/{made.tag}\n".encode())
        return cls(segment, name, 0, CollectionMark(state.hexdigest(), 0, 0), made=members)

    @property
    def token(self) -> str:
        """Of the state it is in: the sync token, and the ctag too."""
        return self.token_at(self.mark.revision)

    def token_at(self, revision: int) -> str:
        """The sync token of a revision: an absolute URI (RFC 6578 §4)."""
        return f"{TOKEN_SCHEME}{self.segment}/{self.mark.epoch}/{revision}"


class CollectionChanges(Struct, frozen=True):
    """What has changed since a sync token."""

    members: tuple[MemberChange, ...]
    token: str
    """Where to go on from."""
    truncated: bool = False
    """There is more from `token` on."""


class Collections:
    """The collections of all profiles."""

    def __init__(self, writer: IndexWriter) -> None:
        self._writer = writer

    async def of(self, profile: str) -> list[CollectionView]:
        """The collections of a profile, in the order of the configuration. Raises StorageError."""
        state = self._writer.state
        profile_state = state.profiles.get(profile)
        linked: dict[int, tuple[Link, CalendarRecord]] = {}
        for link in profile_state.links if profile_state is not None else ():
            record = state.calendars.get(link.calendar or 0)
            if record is not None:
                linked.setdefault(record.id, (link, record))
        marks = await self._writer.store.read_marks(linked)
        return [_view(link, record, mark=marks[record.id]) for link, record in linked.values() if record.id in marks]

    async def members(self, collection: CollectionView) -> list[Member]:
        """All members, by name. Raises StorageError."""
        if collection.made is not None:
            return [Member(name, made.tag, 0) for name, made in sorted(collection.made.items())]
        return await self._writer.store.read_members(collection.calendar)

    async def contents(self, collection: CollectionView, names: Iterable[str]) -> Mapping[str, MemberContent]:
        """The members of these names that exist, with their bytes. Raises StorageError."""
        if (known := collection.made) is not None:
            made = ((name, known[name]) for name in names if name in known)
            return {name: MemberContent(member.tag, member.payload) for name, member in made}
        return await self._writer.store.read_contents(collection.calendar, tuple(names))

    async def in_range(self, collection: CollectionView, window: Period, *, zone: str | None) -> list[str]:
        """The members with an occurrence in a window, by name; floating times are read in `zone`, if it is a known one.

        Raises StorageError.
        """
        if collection.link is None:
            made = (collection.made or {}).items()
            overlapping = (name for name, one in made if one.span.start < window.end and window.start < one.span.end)
            return sorted(overlapping)
        from busyd.flow.time_range import objects_in_range  # the engine: a start answers without it

        found = await objects_in_range(self._writer, collection.link, window=window, zone=zone)
        return sorted(name for known in found if (name := member_name(known.href)) is not None)

    async def changes(self, collection: CollectionView, token: str, *, limit: int | None) -> CollectionChanges:
        """What has changed since a token; without one, everything there is. Raises InvalidToken, StorageError."""
        if collection.made is not None:
            raise InvalidToken(_INVALID)
        after = _revision_of(token, collection) if token else 0
        most = 2**62 if limit is None else limit + 1
        mark, changed = await self._writer.store.read_changes(collection.calendar, after=after, limit=most)
        if mark.epoch != collection.mark.epoch or after > mark.revision or (token and after < mark.forgotten):
            raise InvalidToken(_INVALID)
        truncated = limit is not None and len(changed) > limit
        told = tuple(changed[:limit])
        revision = (told[-1].revision if told else after) if truncated else mark.revision
        return CollectionChanges(told, collection.token_at(revision), truncated)


_INVALID: Final = "the sync token is not one of this calendar, or it is too old: read the calendar anew"


def _revision_of(token: str, collection: CollectionView) -> int:
    read = _TOKEN.fullmatch(token)
    if read is None or (read[1], read[2]) != (collection.segment, collection.mark.epoch):
        raise InvalidToken(_INVALID)
    return int(read[3])


def _view(link: Link, record: CalendarRecord, *, mark: CollectionMark) -> CollectionView:
    remote = record.remote
    identity = f"{record.connection}\n{remote.href}".encode(errors="surrogatepass")
    return CollectionView(
        segment=hashlib.blake2b(identity, digest_size=8).hexdigest(),
        name=remote.name or record.connection,
        calendar=record.id,
        mark=mark,
        color=remote.color or "",
        transparent=remote.transparent,
        link=link,
    )
