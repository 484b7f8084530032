"""What is committed of a calendar at the end of a poll: what is forgotten, what stays in doubt. Pure.

What other calendars have to do with it comes in from `round.py`: whether there are any, and what has arrived in them.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from busyd.dav.href import ETag, Href
from busyd.dav.objects import FetchedObject
from busyd.period import Instant
from busyd.store.mirror import NO_ETAG, CalendarRecord, DoubtKind, ObjectDoubt, SyncMark, other_version_of
from busyd.sync.doubts import (
    Answers,
    Doubts,
    after_answers,
    after_fetch,
    after_listing,
    clipped,
    is_listing_false,
    is_settled,
    next_look,
)
from busyd.sync.outcome import SyncOutcome
from busyd.sync.reasons import Reason
from busyd.sync.second_look import is_still_sought, second_look
from busyd.sync.timing import MOVING, MOVING_UNSEEN, has_passed


class Settlement(Struct, frozen=True):
    """What is committed of a calendar, in one transaction."""

    forget: frozenset[str] = frozenset()
    """Hrefs of the mirror that are believed to be gone."""
    store: tuple[FetchedObject, ...] = ()
    """Objects that were asked for singly, as they are to be mirrored."""
    unread: frozenset[str] = frozenset()
    """Hrefs of which what is mirrored is not all there is to know."""
    ghosts: frozenset[str] = frozenset()
    """Hrefs for which nobody waits any more."""
    spelled: Mapping[str, str] = field(default_factory=dict)
    mark: SyncMark | None = None
    """Where the mirror then stands."""
    reason: Reason = Reason.NOTHING_GONE
    newly_missing: frozenset[str] = frozenset()
    """What this poll was the first to miss, and does not forget yet."""
    fetched: int = 0
    """New and changed objects that this poll found."""

    @property
    def adds(self) -> bool:
        """Whether something is in the mirror by it that was not there."""
        return bool(self.store or self.unread)

    @property
    def kept(self) -> frozenset[str]:
        """What is missing and keeps its time."""
        if self.mark is None:
            return frozenset()
        return _missing(self.mark.doubts).union(self.mark.held)

    @property
    def look_again(self) -> Instant | None:
        """When to look although nothing may seem to have changed."""
        return self.mark.look_again if self.mark is not None else None


class Elsewhere(Struct, frozen=True):
    """What the other calendars of the account say about what is gone from one."""

    is_none: bool = False
    """There is no other event calendar to which anything could have moved."""
    arrived: frozenset[str] = frozenset()
    """UIDs of what has just turned up in one of them."""
    is_unread: bool = False
    """One of them has changed, and could not be read since."""
    is_unlisted: bool = False
    """The listing has no calendar at all, though there are some: where anything could have moved to is not known."""


def doubts_after(
    record: CalendarRecord, outcome: SyncOutcome | None, *, answers: Sequence[Answers], at: Instant
) -> dict[str, ObjectDoubt]:
    """The doubts about the objects of a calendar after what a poll has seen of it; `outcome` None: not looked into."""
    doubts: Doubts = clipped(record.doubts, at=at)
    if outcome is not None:
        look = outcome.look
        doubts = after_listing(doubts, look.plan, uids=outcome.uids, is_whole=look.compared_all, at=at)
        doubts = after_fetch(doubts, look.plan, missing=outcome.missing, outdated=outcome.outdated, at=at)
    for part in answers:
        doubts = after_answers(doubts, part, at=at)
    return dict(doubts)


def settle_calendar(
    record: CalendarRecord,
    outcome: SyncOutcome | None,
    *,
    answers: Sequence[Answers] = (),
    elsewhere: Elsewhere,
    at: Instant,
) -> Settlement:
    """Settle a collection that was looked into, or of which there was something to ask or to wait for."""
    doubts = doubts_after(record, outcome, answers=answers, at=at)
    believed = {href: why for href in doubts if (why := _why_believed(doubts, href, elsewhere=elsewhere, at=at))}
    left = {href: doubt for href, doubt in doubts.items() if href not in believed}
    listed = {href: doubt.etag for href, doubt in record.doubts.items() if doubt.etag}
    if outcome is not None:
        listed = {**listed, **outcome.look.plan.etags}
    store = _stored(doubts, listed=listed, answers=answers)
    open_doubts = {href: doubt for href, doubt in left.items() if doubt.kind in (DoubtKind.UNREAD, DoubtKind.OUTDATED)}
    ghosts = {href for href, doubt in open_doubts.items() if is_settled(doubt)}
    others = {other_version_of(href) for href in (record.doubts.keys() - left.keys()) | believed.keys()}
    return Settlement(
        frozenset(believed.keys() | others),
        store,
        frozenset(open_doubts.keys() - ghosts),
        frozenset(ghosts),
        outcome.look.spelled if outcome is not None else {},
        _mark(record, outcome, doubts=left, at=at),
        reason=_reason(left, believed),
        newly_missing=_missing(left) - _missing(record.doubts),
        fetched=(outcome.fetched if outcome is not None else 0) + len(store),
    )


def may_release(record: CalendarRecord, *, elsewhere: Elsewhere, at: Instant) -> bool:
    """Whether something that is kept for now may be forgotten, although nothing more is to be asked."""
    doubts = clipped(record.doubts, at=at)
    return any(_why_believed(doubts, href, elsewhere=elsewhere, at=at) for href in doubts)


def _why_believed(doubts: Doubts, href: str, *, elsewhere: Elsewhere, at: Instant) -> Reason | None:
    """Why an object is believed to be gone, None when it is not (yet)."""
    doubt = doubts[href]
    if doubt.kind is not DoubtKind.GONE or doubt.proved is None:
        return None
    if doubt.uid in elsewhere.arrived:
        return Reason.ARRIVED_ELSEWHERE
    if elsewhere.is_unlisted:
        return None
    if elsewhere.is_none or not doubt.uid:
        return Reason.ANSWERED_404
    wait = MOVING_UNSEEN if elsewhere.is_unread else MOVING
    return Reason.NOT_MOVING if has_passed(doubt.proved, wait, at=at) else None


def _stored(doubts: Doubts, *, listed: Mapping[str, str], answers: Sequence[Answers]) -> tuple[FetchedObject, ...]:
    """What was handed out singly, to be mirrored: beside what is there already when it is not the version listed."""
    store: list[FetchedObject] = []
    for part in answers:
        for href, got in part.got.items():
            doubt, fetched = doubts.get(href), got.fetched
            is_other = doubt is not None and doubt.kind is DoubtKind.OUTDATED
            if got.is_as_before and doubt is not None and doubt.kind in (DoubtKind.OUTDATED, DoubtKind.UNLISTED):
                continue
            if is_other and got.is_known:
                href = other_version_of(href)
            etag = fetched.etag if is_other else listed.get(href) or fetched.etag
            store.append(FetchedObject(Href(href), ETag(etag or NO_ETAG), fetched.payload))
    return tuple(store)


def _missing(doubts: Doubts) -> frozenset[str]:
    return frozenset(href for href, doubt in doubts.items() if doubt.kind in (DoubtKind.GONE, DoubtKind.UNLISTED))


def _reason(doubts: Doubts, believed: Mapping[str, Reason]) -> Reason:
    """The one that says most about what is kept, else about what is forgotten."""
    open_doubts = [doubt for doubt in doubts.values() if not is_settled(doubt)]
    for doubt in open_doubts:
        if doubt.kind is DoubtKind.UNLISTED:
            return Reason.HANDED_OUT
    gone = [doubt for doubt in open_doubts if doubt.kind is DoubtKind.GONE]
    if gone:
        return Reason.NOT_ASKED if any(doubt.proved is None for doubt in gone) else Reason.MAY_BE_MOVING
    for doubt in open_doubts:
        return Reason.NOT_HANDED_OUT if doubt.kind is DoubtKind.UNREAD else Reason.OTHER_VERSION
    return next(iter(believed.values()), Reason.NOTHING_GONE)


def _mark(record: CalendarRecord, outcome: SyncOutcome | None, *, doubts: Doubts, at: Instant) -> SyncMark:
    is_proof = not is_listing_false(doubts)
    contradiction = next_look(doubts, at)
    if outcome is None:
        return SyncMark(
            ctag=record.ctag,
            sync_token=record.sync_token,
            listed_token=record.listed_token,
            as_of=at if is_proof else None,
            doubts=doubts,
            earlier_token=record.earlier_token,
            look_again=_earliest(record.look_again, contradiction),
            next_earlier_token=record.next_earlier_token,
        )
    second = second_look(outcome, at)
    is_whole = not outcome.look.truncated
    ctag, listed_token = outcome.listed
    return SyncMark(
        ctag=ctag,
        sync_token=outcome.look.sync_token if is_whole else None,
        listed_token=listed_token,
        as_of=at if is_proof and is_whole else None,
        reconciled=at if outcome.look.compared_all and not is_still_sought(outcome, at) else None,
        doubts=doubts,
        earlier_token=second.start,
        look_again=_earliest(second.at, contradiction),
        next_earlier_token=second.then,
    )


def _earliest(*moments: Instant | None) -> Instant | None:
    return min((moment for moment in moments if moment is not None), default=None)
