"""Holds: a slot kept for some minutes, local only. Given when `/slots` offers it; from then on busy for everybody."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Protocol

from msgspec import Struct

from busyd.clock import Clock
from busyd.errors import BusydError
from busyd.flow.ask import OnStale, resolve_unknown
from busyd.flow.deciding import DecisionBasis
from busyd.flow.membership import (
    NotOffered,
    NotProven,
    Offer,
    ProfileSource,
    WhyNot,
    not_offered,
    offer_of,
    require_profile,
    why_not,
)
from busyd.flow.requests import KeyedRequest, OutboxRequests, Told
from busyd.period import FbType, Instant, Period
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.errors import Overlaps, StorageError
from busyd.store.outbox import LONGEST_HOLD, Outbox

logger = logging.getLogger(__name__)

MOST_HOLDS: Final = 10
"""In force at a time, of one token."""
NOT_AGAIN_FOR: Final = 300
"""Seconds for which a token cannot hold a span again that it held."""
_PROVE_WITHIN: Final = 5.0
"""Seconds within which calendars must be confirmed where what is known of them is stale."""
_HOLD: Final = BookingKind.HOLD
_LOOK_EVERY: Final = 5.0
"""Seconds between two looks for holds that have expired."""

__all__ = ["LONGEST_HOLD", "HoldView", "Holds", "TooManyHolds"]


class TooManyHolds(BusydError):
    """The token holds as much as it may."""

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class HoldView(Struct, frozen=True):
    """A hold as it is told."""

    id: str
    profile: str
    span: Period
    expires: Instant
    state: BookingState
    reason: str


class RefreshedSource(ProfileSource, Protocol):
    """What holds need of `Backend`."""

    async def refresh(self, profile: str, max_age: timedelta) -> bool: ...


class Holds:
    """Gives holds, and ends them."""

    def __init__(self, requests: OutboxRequests, answers: RefreshedSource, *, clock: Clock) -> None:
        self._requests = requests
        self._answers = answers
        self._clock = clock

    async def add(self, asked: KeyedRequest, span: Period, *, ttl: int, render: Callable[[HoldView], bytes]) -> Told:
        """Hold a span.

        Raises NotOffered, TooManyHolds, NotProven, Unanswerable, KeyMismatch, UnknownProfile, StorageError.
        """
        expires = Instant(asked.now + ttl)
        row = Booking(
            id=secrets.token_hex(8),
            kind=_HOLD,
            profile=asked.profile,
            state=BookingState.BOOKED,
            span=span,
            created=asked.now,
            fbtype=int(FbType.BUSY),
            expires=expires,
            token=asked.token,
        )
        if (known := await self._requests.told_before(asked)) is not None:
            return known  # whatever the calendars say by now
        await self._prove(asked.profile, span)
        async with self._requests.deciding:
            await self._requests.change(lambda outbox: outbox.end_expired(asked.now))
            known = await self._requests.told_before(asked)
            if known is not None:
                return known
            try:
                return await self._requests.decide(
                    asked.profile, lambda basis: self._give(asked, row, basis=basis, render=render)
                )
            except NotOffered:
                known = await self._requests.told_before(asked)
                if known is None:
                    raise
                return known  # another daemon was asked for the same, and was quicker

    async def _give(
        self, asked: KeyedRequest, row: Booking, *, basis: DecisionBasis | None, render: Callable[[HoldView], bytes]
    ) -> Told:
        """Commit a hold if its span is offered. Raises NotOffered, TooManyHolds, Unanswerable, Outdated."""
        span = row.span
        offer = offer_of(require_profile(self._answers, asked.profile), span.end - span.start, now=asked.now)
        refusal = await self._why_not(span, offer=offer)

        def work(outbox: Outbox) -> tuple[Booking, int]:
            if basis is not None:
                basis.require_newest(outbox)
            _check_number(outbox.holds_of(asked.token, Instant(asked.now - NOT_AGAIN_FOR)), row)
            outbox.add(row)
            return row, 201

        if refusal is not None:
            raise await not_offered(self._answers, offer, why=refusal, span=span)
        try:
            return await self._requests.once(asked, work, render=lambda hold: render(_view(hold)))
        except Overlaps:
            # A calendar that counts for the rule of the database, and not for this profile's answers.
            raise await not_offered(self._answers, offer, why=WhyNot.SLOT_TAKEN, span=span) from None

    async def give_back(self, asked: KeyedRequest, booking: str) -> Told:
        """End a hold; the same when it has ended. Raises UnknownBooking, KeyMismatch, StorageError."""
        return await self._requests.end(asked, booking, kind=_HOLD, reason="given-back")

    async def find(self, asked: KeyedRequest, booking: str) -> HoldView:
        """One hold, also one that has ended. Raises UnknownBooking, StorageError."""
        return _view(await self._requests.find(asked, booking, kind=_HOLD))

    async def in_force(self, asked: KeyedRequest, window: Period) -> list[HoldView]:
        """The holds in force that touch a window, in order. Raises StorageError."""
        return [_view(row) for row in await self._requests.in_force(asked, window, kind=_HOLD)]

    async def end_expired(self) -> None:
        """End the holds whose time is over, for as long as there are holds, and forever."""
        while True:
            await self._requests.has_holds.wait()
            self._requests.has_holds.clear()
            if await self._end_expired():
                self._requests.has_holds.set()
            await self._clock.sleep(_LOOK_EVERY)

    async def _end_expired(self) -> bool:
        """End those whose time is over; whether there are others."""
        rest = False

        def work(outbox: Outbox) -> list[Booking]:
            nonlocal rest
            ended = outbox.end_expired(self._clock.now())
            rest = outbox.has_holds()
            return ended

        try:
            await self._requests.change(work)
        except StorageError as error:
            logger.warning("holds that have expired could not be ended, trying again: %s", error)
            return True
        return rest

    async def _prove(self, name: str, span: Period) -> None:
        """Have what is known be recent enough. Raises NotProven when that takes too long."""
        if not (await self._answers.freebusy(name, span)).freshness.stale:
            return
        refreshing = asyncio.ensure_future(self._answers.refresh(name, require_profile(self._answers, name).max_age))
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(refreshing), _PROVE_WITHIN)
        answer = await self._answers.freebusy(name, span)
        if answer.freshness.stale:
            trouble = [calendar.calendar for calendar in answer.freshness.calendars if calendar.state != "fresh"]
            message = f"these calendars could not be confirmed: {', '.join(trouble)}"
            raise NotProven(message)

    async def _why_not(self, span: Period, *, offer: Offer) -> WhyNot | None:
        answer = await self._answers.freebusy(offer.profile.name, offer.shape.reach(span))
        return why_not(offer, span, busy=resolve_unknown(answer, OnStale.ERROR).spans)


def _view(row: Booking) -> HoldView:
    """A row as it is told."""
    expires = row.expires if row.expires is not None else row.created
    return HoldView(row.id, row.profile, row.span, expires, row.state, row.reason)


def _check_number(holds: list[Booking], wanted: Booking) -> None:
    live = [hold for hold in holds if hold.blocks]
    if len(live) >= MOST_HOLDS:
        first = min(hold.expires or wanted.created for hold in live)
        message = f"this token has {len(live)} holds in force, and may have no more"
        raise TooManyHolds(message, retry_after=max(1, first - wanted.created))
    for hold in holds:
        if not hold.blocks and hold.span == wanted.span:
            message = "this token held the same time a moment ago"
            raise TooManyHolds(message, retry_after=max(1, (hold.settled or 0) + NOT_AGAIN_FOR - wanted.created))
