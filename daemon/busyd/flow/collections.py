"""The linked calendars of a profile as collections (RFC 4791 §4.2), for the CalDAV server: read from the mirror alone.

Any number of clients costs no request to a remote, and a remote that is down takes nothing away from them.
"""

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from busyd.clock import Now
from busyd.connection import Privacy, RemoteCalendar
from busyd.errors import BusydError
from busyd.flow.ask import FreeBusyAnswer, answer, find_profile
from busyd.flow.freshness import freshness_of
from busyd.ical.zones import find_zone
from busyd.index.writer import IndexWriter
from busyd.period import Period
from busyd.state.links import Link
from busyd.store.members import CollectionMark, Member, MemberChange, MemberContent, tag_of
from busyd.store.mirror import CalendarRecord

TOKEN_SCHEME: Final = "busyd:sync/"
_TOKEN: Final = re.compile(rf"{TOKEN_SCHEME}([0-9a-z-]+)/([0-9a-f]+)/([0-9]{{1,18}})")


Revision = tuple[int, tuple[Link, ...], tuple[tuple[RemoteCalendar, bool] | None, ...]]


class InvalidToken(BusydError):
    """A sync token that this collection did not give out, or too long ago (RFC 6578 §3.2)."""


class MadeMember(Struct, frozen=True):
    """A member that is not in the mirror: an event of busyd's own making."""

    tag: str
    payload: bytes
    span: Period

    @classmethod
    def of(cls, payload: bytes, span: Period) -> Self:
        """With the tag of these bytes."""
        return cls(tag_of(payload), payload, span)


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
    owner: str = ""
    """The profile it was made for."""
    color: str = ""
    """`#RRGGBB`, if its server has one."""
    transparent: bool = False
    source: str = ""
    """Where the events of a calendar come from that its server subscribes to."""

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

    def revision_of(self, profile: str) -> Revision:
        """Another value whenever the linked calendars of a profile, or their members, may be others."""
        state = self._writer.state
        profile_state = state.profiles.get(profile)
        links = profile_state.links if profile_state is not None else ()
        records = (state.calendars.get(link.calendar or 0) for link in links)
        remotes = tuple([(record.remote, record.complete) if record is not None else None for record in records])
        return self._writer.store.members_revision, tuple(links), remotes

    async def of(self, profile: str) -> list[CollectionView]:
        """The collections of a profile, in the order of the configuration. Raises StorageError."""
        state = self._writer.state
        profile_state = state.profiles.get(profile)
        linked: dict[int, tuple[Link, CalendarRecord]] = {}
        for link in profile_state.links if profile_state is not None else ():
            record = state.calendars.get(link.calendar or 0)
            if record is not None and state.connection_state(record.connection).connection.privacy is Privacy.FULL:
                linked.setdefault(record.id, (link, record))
        marks = await self._writer.store.read_marks(linked)
        return [_view(link, record, mark=marks[record.id]) for link, record in linked.values() if record.id in marks]

    async def make(self, owner: str, *, segment: str, name: str, members: Mapping[str, MadeMember]) -> CollectionView:
        """The collection of a profile that is what these members are; its changes are remembered. Raises StorageError.

        To be called for one collection at a time, and again only when its members may be others.
        """
        tags = {member: made.tag for member, made in members.items()}
        mark, salts = await self._writer.store.follow_made(f"{owner}/{segment}", tags, at=self._writer.clock.now())
        touched = {member: replace(members[member], tag=members[member].tag + salt) for member, salt in salts.items()}
        return CollectionView(segment, name, 0, mark, made={**members, **touched}, owner=owner)

    async def members(self, collection: CollectionView) -> list[Member]:
        """All members, by name. Raises StorageError."""
        if collection.made is not None:
            return [Member(name, made.tag, 0, len(made.payload)) for name, made in sorted(collection.made.items())]
        return await self._writer.store.read_members(collection.calendar)

    async def content(self, collection: CollectionView, name: str) -> MemberContent | None:
        """One member with its bytes; None when there is none of that name. Raises StorageError."""
        return (await self._some(collection, (name,)))[name]

    async def contents(
        self, collection: CollectionView, names: Sequence[str]
    ) -> AsyncIterator[tuple[str, MemberContent | None]]:
        """Members of these names in their order; None where there is none. Only a few are held at a time.

        Raises StorageError.
        """
        at = 0
        while at < len(names):
            asked = names[at : at + _AT_ONCE]
            found = await self._some(collection, asked)
            for name in asked:
                if name not in found:
                    break
                at += 1
                yield name, found[name]

    async def in_range(
        self, collection: CollectionView, window: Period | None, *, zone: str | None
    ) -> AsyncIterator[tuple[str, MemberContent]]:
        """The members with an occurrence in a window, or all; floating times are read in `zone`, if that is known.

        Raises StorageError.
        """
        from busyd.flow.time_range import candidates_in, in_window  # the engine: a start answers without it

        link, names = collection.link, await self._names(collection, window)
        if link is not None and window is not None:
            names = await candidates_in(self._writer, link, window=window)
        at = 0
        while at < len(names):
            some = await self._some(collection, names[at : at + _AT_ONCE])
            at += len(some)
            there = {name: member for name, member in some.items() if member is not None}
            if link is not None and window is not None:
                read_in = self.zone_of(collection, zone)
                wanted = {name async for name in in_window(self._writer, there, window=window, zone=read_in)}
                there = {name: member for name, member in there.items() if name in wanted}
            for name, member in there.items():
                yield name, member

    def zone_of(self, collection: CollectionView, asked: str | None = None) -> str:
        """In which zone floating times are read: that which was asked for, if it is known."""
        known = asked if asked and find_zone(asked) is not None else None
        return known or (collection.link.zone if collection.link is not None else "") or self._writer.state.machine_zone

    async def instances(
        self, collection: CollectionView, payload: bytes, *, span: Period, zone: str | None, expand: bool
    ) -> bytes:
        """An object with its instances in a span in place of its rules, or without the overrides outside of it."""
        from busyd.index.worker_process import Instances

        own = dict(self._writer.state.own_zones)
        work = Instances(payload, span.start, span.end, self.zone_of(collection, zone), own, expand)
        return await self._writer.expansion.worker.instances(work)

    async def freebusy(self, profile: str, collection: CollectionView, *, window: Period) -> FreeBusyAnswer:
        """When a linked calendar alone is busy, whether or not it counts for the profile (RFC 4791 §7.10).

        Raises UnknownProfile, StorageError.
        """
        from busyd.index.rolling import expand_calendar

        state, clock, link = self._writer.state, self._writer.clock, collection.link
        profile_state = find_profile(state, profile)
        assert link is not None, "a calendar of busyd's own making has the answer of its profile"
        # Judged first: a later confirmation says nothing about what is read now.
        now = Now(clock.now(), clock.monotonic())
        freshness = freshness_of(state, profile_state, now=now, links=(link,))
        snapshot = await expand_calendar(self._writer, profile_state, link=link, window=window)
        return answer(profile, snapshot, freshness=freshness, window=window)

    async def changes(self, collection: CollectionView, token: str, *, limit: int | None) -> CollectionChanges:
        """What has changed since a token; without one, everything there is. Raises InvalidToken, StorageError."""
        after = _revision_of(token, collection) if token else 0
        most = 2**62 if limit is None else limit + 1
        if collection.made is not None:
            # Not further than this view goes: what changes meanwhile is told the next time.
            mark, owner = collection.mark, f"{collection.owner}/{collection.segment}"
            changed = await self._writer.store.read_made_changes(owner, after=after, upto=mark.revision, limit=most)
        else:
            mark, changed = await self._writer.store.read_changes(collection.calendar, after=after, limit=most)
        if mark.epoch != collection.mark.epoch or after > mark.revision or (token and after < mark.forgotten):
            raise InvalidToken(_INVALID)
        truncated = limit is not None and len(changed) > limit
        told = tuple(changed[:limit])
        revision = (told[-1].revision if told else after) if truncated else mark.revision
        return CollectionChanges(told, collection.token_at(revision), truncated)

    async def _names(self, collection: CollectionView, window: Period | None) -> list[str]:
        """All members by name, or those of a made collection that are in the window."""
        if collection.made is None:
            return await self._writer.store.member_names(collection.calendar) if window is None else []
        made = collection.made.items()
        return sorted(
            name
            for name, one in made
            if window is None or (one.span.start < window.end and window.start < one.span.end)
        )

    async def _some(self, collection: CollectionView, names: Sequence[str]) -> Mapping[str, MemberContent | None]:
        """The first of these, or more of them."""
        if (made := collection.made) is not None:
            return {name: MemberContent(made[name].tag, made[name].payload) if name in made else None for name in names}
        return await self._writer.store.read_contents(collection.calendar, names, most=_BYTES_AT_ONCE)


_AT_ONCE: Final = 100
"""Members whose bytes are read at once."""
_BYTES_AT_ONCE: Final = 512 * 1024
"""Fewer of them, when they are larger than that together."""
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
        source=remote.source or "",
        link=link,
    )
