"""What a look at one calendar settles: what it found gone is forgotten or held, and when to look again. Pure.

Whether there is doubt because of other calendars comes in from `round.py`.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.mirror import CalendarRecord, SyncMark
from busyd.sync.due import is_look_due
from busyd.sync.plan import UNREAD_ETAG, Look, Removal, SyncPlan, SyncState, is_much, weigh
from busyd.sync.reasons import Reason
from busyd.sync.timing import FEED_HOLD, HOLD, SETTLE, UNREAD_AGAIN

_FEW_IN_FEED: Final = 3
"""From a feed of no more events than this any number may be gone at once, unless it is empty."""
_SHARE_OF_FEED: Final = 5
"""More than one in so many gone is much."""


class SyncOutcome(Struct, frozen=True):
    """What a look at a calendar brought: its changes are stored, its removals and its token are not yet."""

    record: CalendarRecord
    state: SyncState
    look: Look
    vanished: frozenset[str] = frozenset()
    """Listed, but proved gone when they were fetched: each answered 404 to a request of its own, or was never known."""
    unread: bool = False
    """Something listed could not be had."""
    fetched: int = 0

    @property
    def removes(self) -> bool:
        """Whether anything of the mirror was found gone."""
        return bool(self.look.plan.gone or self.vanished)

    @property
    def changed(self) -> bool:
        """Whether this look saw anything that the one before had not, or should have seen something."""
        moved = self.look.sync_token != self.record.sync_token or self.record.remote.ctag != self.record.ctag
        return bool(self.look.plan.fetch) or self.removes or moved


class Doubt(Struct, frozen=True):
    """For how many seconds something must have been gone before it is believed, and why."""

    grace_period: int
    reason: Reason


class Settlement(Struct, frozen=True):
    """What is committed of a calendar, in one transaction."""

    forget: frozenset[str] = frozenset()
    """Hrefs of the mirror that are believed to be gone."""
    mark: SyncMark | None = None
    """Where the mirror then stands. `mark.held` are the hrefs that were found gone and are not yet believed to be."""
    reason: Reason = Reason.NOTHING_GONE
    newly_held: frozenset[str] = frozenset()
    """Of the held ones those that this look was the first to miss."""
    fetched: int = 0
    """New and changed objects that this look found."""

    @property
    def held(self) -> Mapping[str, Instant]:
        """Href -> when it was first found gone, for what is not yet believed to be."""
        return self.mark.held if self.mark is not None else {}

    @property
    def look_again(self) -> Instant | None:
        """When to look although nothing may seem to have changed."""
        return self.mark.look_again if self.mark is not None else None


def settle_calendar(outcome: SyncOutcome, doubt: Doubt, *, at: Instant) -> Settlement:
    """Settle a collection, with the doubt that the other calendars leave."""
    look = outcome.look
    own = _own_doubt(outcome)
    if own is not None and own.grace_period > doubt.grace_period:
        doubt = own
    removal = weigh(outcome.state, look.plan, at=at, gone=outcome.vanished, grace_period=doubt.grace_period)
    look_again, earlier_token = _second_look(outcome, removal.held, at=at)
    mark = SyncMark(
        ctag=outcome.record.remote.ctag,
        sync_token=look.sync_token,
        as_of=at,
        reconciled=at if look.compared_all else None,
        held=removal.held,
        earlier_token=earlier_token,
        look_again=look_again,
    )
    return _settlement(removal, doubt, mark=mark, known=outcome.state, fetched=outcome.fetched)


def settle_feed(state: SyncState, plan: SyncPlan, *, validators: Mapping[str, str], at: Instant) -> Settlement:
    """Settle a feed, which has no other calendar to which something could have moved."""
    doubt = _doubt_of_feed(state, plan)
    removal = weigh(state, plan, at=at, grace_period=doubt.grace_period)
    held_since = min(removal.held.values(), default=at)
    # What was doubted once is believed after HOLD, as soon as nothing much is missing any more.
    believed = held_since + max(doubt.grace_period, HOLD)
    mark = SyncMark(
        ctag=None,
        sync_token=None,
        as_of=at,
        reconciled=at,
        held=removal.held,
        validators=validators,
        look_again=Instant(believed if believed > at else at + HOLD) if removal.held else None,
    )
    return _settlement(removal, doubt, mark=mark, known=state, fetched=len(plan.fetch))


def _doubt_of_feed(state: SyncState, plan: SyncPlan) -> Doubt:
    """A feed that is empty, or has lost more than a fifth of more than a few events, is believed when a download at
    least FEED_HOLD later agrees."""
    known = len(state.etags)
    is_empty = plan.empty and known > 0
    if is_empty or (known > _FEW_IN_FEED and _SHARE_OF_FEED * len(plan.gone) > known):
        return Doubt(FEED_HOLD, Reason.MUCH_AT_ONCE)
    return Doubt(HOLD, Reason.MUCH_AT_ONCE) if is_much(state, plan) else Doubt(0, Reason.NOTHING_ELSE_CHANGES)


def _settlement(removal: Removal, doubt: Doubt, *, mark: SyncMark, known: SyncState, fetched: int) -> Settlement:
    newly_held = frozenset(removal.held.keys() - known.held.keys())
    return Settlement(removal.forget, mark, _reason(removal, doubt), newly_held, fetched)


def _own_doubt(outcome: SyncOutcome) -> Doubt | None:
    """What there is to doubt in the calendar itself."""
    if is_much(outcome.state, outcome.look.plan, gone=outcome.vanished):
        return Doubt(HOLD, Reason.MUCH_AT_ONCE)
    return Doubt(HOLD, Reason.OBJECT_UNREAD) if outcome.unread else None


def _reason(removal: Removal, doubt: Doubt) -> Reason:
    if removal.held:
        return doubt.reason if doubt.grace_period else Reason.DOUBTED_BEFORE
    if removal.forget:
        return Reason.GRACE_PERIOD_OVER if doubt.grace_period else doubt.reason
    return Reason.NOTHING_GONE


def _second_look(
    outcome: SyncOutcome, held: Mapping[str, Instant], *, at: Instant
) -> tuple[Instant | None, str | None]:
    """When to look again although nothing may seem to have changed, and from which token; (None, None): all is settled.

    Without a token that look compares everything.
    """
    record, look = outcome.record, outcome.look
    pending = record.look_again is not None and not is_look_due(record, at)
    newest = outcome.state.newest_token
    start = record.earlier_token if record.look_again is not None else newest
    if look.refused or look.unproved:
        start = newest = None
    if held:
        believed = min(held.values()) + HOLD
        return Instant(max(believed if believed > at else at + HOLD, at + SETTLE)), start
    if outcome.unread:
        nothing_else = UNREAD_ETAG in outcome.state.etags.values() and look.sync_token == record.sync_token
        return Instant(at + (UNREAD_AGAIN if nothing_else else SETTLE)), start
    if outcome.changed or look.unproved or not record.complete:
        return Instant(at + SETTLE), start if pending else newest
    return (record.look_again, start) if pending else (None, None)
