"""The blocked slots of a profile as a calendar: busy time without titles, for whoever may ask when somebody is busy.

Its members follow from what /freebusy says, so that the same slot has the same name, UID, bytes and ETag, also after a
restart. A changed slot is another member. Which members there were is kept in the store, for sync-collection.
"""

import asyncio
import hashlib
from collections.abc import Generator, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.cooperative import in_slices
from busyd.flow.ask import FreeBusyAnswer, answer_at_once
from busyd.flow.backend import Backend
from busyd.flow.collections import CollectionView, MadeMember
from busyd.flow.views import ProfileView
from busyd.http.feed import feed_window, stamp_of
from busyd.http.problem import HttpProblem
from busyd.ical.compose import BlockedSlot, compose_slot
from busyd.period import FbType, Instant, Period

SEGMENT: Final = "blocked-slots"
_MOST_KEPT: Final = 32
_COLOR: Final = "#8E8E93"


class _MadeCollection(Struct, frozen=True):
    """A collection, and what it was made from."""

    collection: CollectionView
    snapshot_version: int
    known: bool
    window: Period


class BlockedSlots:
    """Makes the calendars of blocked slots, and remembers them while nothing changes."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._made: dict[str, _MadeCollection] = {}
        self._making = asyncio.Lock()

    async def of(self, profile: ProfileView) -> CollectionView | None:
        """That of a profile; None for one without calendars. Raises HttpProblem while nothing is known yet."""
        if not profile.freshness.calendars:
            return None
        if profile.snapshot is None:
            # An app that is shown no calendar, or an empty one, deletes what it has.
            raise HttpProblem(
                "not-ready",
                503,
                detail=f"the calendars of {profile.name} are being read for the first time",
                fix="ask again in a minute",
                headers={"Retry-After": "60"},
            )
        return self._known(profile) or await self._make(profile.name)

    def forget(self, profile: str) -> None:
        """Make that of a profile anew: one of its members was touched."""
        self._made.pop(profile, None)

    def _known(self, profile: ProfileView) -> CollectionView | None:
        made, window = self._made.get(profile.name), feed_window(self._backend.clock.now())
        if made is None or made.snapshot_version != profile.snapshot_version or made.window != window:
            return None
        return made.collection if made.known == profile.freshness.known else None

    async def _make(self, name: str) -> CollectionView | None:
        """One at a time: the newer state must be remembered after the older."""
        async with self._making:
            profile, window = self._backend.profile(name), feed_window(self._backend.clock.now())
            if profile is None:
                return None
            if (known_already := self._known(profile)) is not None:
                return known_already
            answer = answer_at_once(profile, window) or await self._backend.freebusy(name, window)
            members = await in_slices(_members(answer))
            collection = await self._backend.collections.make(
                name, segment=SEGMENT, name=f"Busy: {name}", members=members
            )
            collection = replace(collection, color=_COLOR)
            if len(self._made) >= _MOST_KEPT:
                self._made.clear()
            known = profile.freshness.known
            self._made[name] = _MadeCollection(collection, profile.snapshot_version, known, window)
            return collection


def _members(answer: FreeBusyAnswer) -> Generator[None, None, Mapping[str, MadeMember]]:
    made = {}
    for start, end, kind in answer.spans:
        identity = f"{answer.profile}/{start}/{end}/{kind}".encode(errors="surrogatepass")
        uid = hashlib.blake2b(identity, digest_size=16).hexdigest()
        payload = compose_slot(BlockedSlot(f"{uid}@busyd", start, end, FbType(kind), stamp_of(end)))
        made[f"{uid}.ics"] = MadeMember.of(payload, Period(Instant(start), Instant(end)))
        yield
    return made
