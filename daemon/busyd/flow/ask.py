"""Ask: when is this person busy in a window, how fresh is that, and is it complete? Every answer is decided here.

Handlers, feeds and slots only render an answer or reckon with it. None of them decides what is known.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.snapshot import Snapshot, with_unknown
from busyd.errors import BusydError, UserError
from busyd.flow.freshness import Freshness
from busyd.flow.views import ProfileView, UnplacedEvent
from busyd.period import BusyPeriod, FbType, Instant, Period, Span, to_rfc3339
from busyd.state.profile_state import ProfileState
from busyd.state.state import State

_MOST_NAMED: Final = 3
"""Events that a refusal names."""


class FreeBusyAnswer(Struct, frozen=True):
    """When a profile is busy inside a window."""

    profile: str
    window: Period
    freshness: Freshness
    complete: bool
    """False when a calendar was never read, or when an event that may touch the window was not understood."""
    gaps_are_free: bool
    """Whether the time between busy spans is known to be free; it is unavailable otherwise."""
    snapshot: Snapshot | None
    """Covers the window; None when nothing has been read yet. With free gaps, `spans` is `snapshot.between(window)`."""
    unplaced: tuple[str, ...] = ()
    """Names of events that may be at any time in the window."""

    @property
    def spans(self) -> list[Span]:
        """Sorted, disjoint, clipped to the window: the canonical form of `period.flatten`. Computed at each call."""
        spans = self.snapshot.between(self.window) if self.snapshot is not None else []
        return spans if self.gaps_are_free else with_unknown(spans, self.window)

    @property
    def busy(self) -> list[BusyPeriod]:
        """The spans as values."""
        return [BusyPeriod(Instant(start), Instant(end), FbType(fbtype)) for start, end, fbtype in self.spans]

    @property
    def has_unplaced_event(self) -> bool:
        """Whether an event exists whose time nobody can read: it may be at any time in the window."""
        return self.snapshot is not None and self.snapshot.incomplete_since < self.window.end


class UnknownProfile(UserError):
    """Asked for a profile that is not configured."""


class Unanswerable(BusydError):
    """The question cannot be answered as it was asked."""


class NotConfirmed(Unanswerable):
    """No confirmation as recent as asked for could be had from the remotes."""


class StaleAnswer(Unanswerable):
    """What is known is stale, and the question does not accept that."""


class NotUnderstood(Unanswerable):
    """An event may be at any time, so that nothing is known to be free."""


class OnStale(StrEnum):
    """What to do when an answer is stale."""

    SERVE = "serve"
    """Answer with what was last known."""
    BUSY = "busy"
    """Call everything that is not busy unavailable."""
    ERROR = "error"


def find_profile(state: State, name: str) -> ProfileState:
    """Raises UnknownProfile, which names the profiles there are."""
    profile_state = state.profiles.get(name)
    if profile_state is None:
        names = ", ".join(sorted(state.profiles)) or "none"
        message = f"there is no profile {name!r}"
        raise UnknownProfile(message, fix=f"profiles in the configuration: {names}")
    return profile_state


def answer(
    profile: str,
    snapshot: Snapshot | None,
    *,
    freshness: Freshness,
    window: Period,
    unplaced: Sequence[UnplacedEvent] = (),
) -> FreeBusyAnswer:
    """Decide what is known of a window that the snapshot covers.

    What is not known is never free: without a snapshot, or with a calendar that was never read, the gaps are
    unavailable.
    """
    known = freshness.known and snapshot is not None
    understood = snapshot is not None and snapshot.understood(window)
    return FreeBusyAnswer(
        profile=profile,
        window=window,
        freshness=freshness,
        complete=known and understood,
        gaps_are_free=known,
        snapshot=snapshot,
        unplaced=tuple([event.name for event in unplaced if event.since < window.end]),
    )


def answer_at_once(profile: ProfileView, window: Period) -> FreeBusyAnswer | None:
    """The answer that needs no waiting; None when the window reaches beyond the horizon."""
    snapshot = profile.snapshot
    if snapshot is not None and not snapshot.covers(window):
        return None
    return answer(profile.name, snapshot, freshness=profile.freshness, window=window, unplaced=profile.unplaced)


def resolve_stale(answer: FreeBusyAnswer, on_stale: OnStale) -> FreeBusyAnswer:
    """The answer as whoever asked wants it when it is stale. Raises StaleAnswer when they do not want it."""
    if not answer.freshness.stale or on_stale is OnStale.SERVE:
        return answer
    if on_stale is OnStale.BUSY:
        return replace(answer, gaps_are_free=False)
    message = f"the calendars of {answer.profile} {_since(answer.freshness)}"
    raise StaleAnswer(message)


def _since(freshness: Freshness) -> str:
    if freshness.as_of is not None:
        return f"were last confirmed at {to_rfc3339(freshness.as_of)}"
    unread = (f"{calendar.calendar} ({calendar.state})" for calendar in freshness.calendars if calendar.as_of is None)
    return f"have not all been read yet: {', '.join(unread)}"


def resolve_unknown(answer: FreeBusyAnswer, on_stale: OnStale) -> FreeBusyAnswer:
    """The same for those who offer free time: an event that may be at any time leaves nothing certainly free.

    Raises StaleAnswer, NotUnderstood.
    """
    answer = resolve_stale(answer, on_stale)
    if on_stale is OnStale.SERVE:
        return answer
    if on_stale is OnStale.BUSY:
        return replace(answer, gaps_are_free=False) if answer.has_unplaced_event else answer
    require_understood(answer)
    return answer


def require_understood(answer: FreeBusyAnswer) -> None:
    """Raises NotUnderstood when an event may be at any time of the window."""
    if not answer.has_unplaced_event:
        return
    message = f"an event in the calendars of {answer.profile} could not be understood, and it may be at any time"
    if answer.unplaced:
        more = len(answer.unplaced) - _MOST_NAMED
        message += f": {'; '.join(answer.unplaced[:_MOST_NAMED])}{f'; and {more} more' if more > 0 else ''}"
    raise NotUnderstood(message)
