"""The blocked slots of a profile as a calendar: busy time without titles, for whoever may ask when somebody is busy.

Its members follow from what /freebusy says, so that the same slot has the same name, UID, bytes and ETag, also after a
restart. A changed slot is another member. What is gone is not remembered: there is a ctag, but no sync-collection.
"""

import hashlib
from collections.abc import Generator, Mapping
from typing import Final

from msgspec import Struct

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
        window, known, made = (
            feed_window(self._backend.clock.now()),
            profile.freshness.known,
            self._made.get(profile.name),
        )
        if (
            made is not None
            and made.snapshot_version == profile.snapshot_version
            and made.known == known
            and made.window == window
        ):
            return made.collection
        answer = answer_at_once(profile, window) or await self._backend.freebusy(profile.name, window)
        members = await in_slices(_members(answer))
        collection = CollectionView.of_made(SEGMENT, f"Busy: {profile.name}", members=members)
        if len(self._made) >= _MOST_KEPT:
            self._made.clear()
        self._made[profile.name] = _MadeCollection(collection, profile.snapshot_version, known, window)
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
