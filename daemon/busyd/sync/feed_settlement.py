"""What is believed of what a feed no longer has. Pure.

A feed is made anew as a whole by its server, and its events cannot be asked for singly: much that is missing at once is
believed when a later download agrees.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from busyd.period import Instant
from busyd.store.mirror import SyncMark
from busyd.sync.plan import SyncPlan, SyncState, is_many
from busyd.sync.reasons import Reason
from busyd.sync.settlement import Settlement
from busyd.sync.timing import FEED_HOLD, HOLD

_FEW: Final = 3
"""From a feed of no more events than this any number may be gone at once, unless it is empty."""
_SHARE: Final = 5
"""More than one in so many gone is much."""


class Removal(Struct, frozen=True):
    """What becomes of the hrefs that a feed no longer has."""

    forget: frozenset[str]
    held: Mapping[str, Instant]
    """Their time stays blocked until a later look agrees. Href -> when it was first found gone."""


def settle_feed(
    state: SyncState, plan: SyncPlan, *, validators: Mapping[str, str], at: Instant, is_cut: bool = False
) -> Settlement:
    """Settle a feed after a download of it. `is_cut`: its end is missing, and with it maybe events."""
    grace_period = FEED_HOLD if is_cut and plan.gone else _grace_period(state, plan)
    removal = weigh(state, plan, at=at, grace_period=grace_period)
    held_since = min(removal.held.values(), default=at)
    # What was doubted once is believed after HOLD, as soon as nothing much is missing any more.
    believed = held_since + max(grace_period, HOLD)
    mark = SyncMark(
        ctag=None,
        sync_token=None,
        as_of=at,
        reconciled=at,
        held=removal.held,
        validators=validators,
        look_again=Instant(believed if believed > at else at + HOLD) if removal.held else None,
    )
    reason = Reason.MUCH_AT_ONCE if removal.held else Reason.NOT_IN_FEED if removal.forget else Reason.NOTHING_GONE
    newly_missing = frozenset(removal.held.keys() - state.held.keys())
    return Settlement(removal.forget, mark=mark, reason=reason, newly_missing=newly_missing, fetched=len(plan.fetch))


def weigh(state: SyncState, plan: SyncPlan, *, at: Instant, grace_period: int) -> Removal:
    """Decide what to believe of what is missing, which must have been so for `grace_period` seconds."""
    forget = {href for href in plan.gone if _is_believed(state.held.get(href), at, grace_period=grace_period)}
    held = {href: min(state.held.get(href, at), at) for href in plan.gone - forget}
    return Removal(frozenset(forget), held)


def _is_believed(first: Instant | None, at: Instant, *, grace_period: int) -> bool:
    """Missed for the first time it is believed unless there is doubt; what was once doubted stays so a while."""
    return not grace_period if first is None else at - first >= max(grace_period, HOLD)


def _grace_period(state: SyncState, plan: SyncPlan) -> int:
    """An empty feed, or one that has lost more than a fifth of more than a few events, is doubted for longest."""
    known = len(state.etags)
    is_empty = plan.empty and known > 0
    if is_empty or (known > _FEW and _SHARE * len(plan.gone) > known):
        return FEED_HOLD
    return HOLD if is_many(state, plan.gone) else 0
