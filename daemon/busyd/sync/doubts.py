"""What a server says of an object against what it hands out: which objects are asked singly, and what is believed.

Pure. Gone is what the newest listing or delta lacks **and** what answered 404 or 410 itself. What is listed and not
handed out, handed out and not listed, or handed out as another version than listed, is asked for again until it agrees,
or until that has gone on for so long that it is how this server is (`is_settled`).
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from zlib import crc32

from msgspec import Struct, field
from msgspec.structs import replace

from busyd.dav.href import is_same_etag
from busyd.dav.objects import FetchedObject
from busyd.period import Instant
from busyd.store.mirror import DoubtKind, ObjectDoubt
from busyd.sync.plan import SyncPlan
from busyd.sync.timing import ASK_AGAIN, LONGEST_ASK, SETTLED_AFTER, SETTLED_ASK, SETTLED_LOOKS, has_passed

SAMPLE: Final = 10
"""So many of the objects that are missing at once are asked first: a single one that is there shows a false listing."""
ASKED_AT_MOST: Final = 50
"""Further objects of a calendar that are asked singly in one poll."""

Doubts = Mapping[str, ObjectDoubt]
"""Href -> what there is to doubt about it."""


class Got(Struct, frozen=True):
    """An object as a GET handed it out."""

    fetched: FetchedObject
    is_as_before: bool
    """Its text is what the mirror has."""
    is_known: bool = True
    """The mirror has some version of it."""


class Question(Struct, frozen=True):
    """Which objects to ask for singly."""

    hrefs: tuple[str, ...]
    multiget: bool = False
    """Ask for all of them by a multiget first, and singly for those which that does not bring."""


class Answers(Struct, frozen=True):
    """What came of a question."""

    got: Mapping[str, Got] = field(default_factory=dict)
    not_found: frozenset[str] = frozenset()
    """404 or 410."""
    failed: frozenset[str] = frozenset()
    """Any other answer, which says nothing."""
    is_cut: bool = False
    """An error kept the rest from being asked."""

    @property
    def asked(self) -> frozenset[str]:
        return self.not_found | self.failed | self.got.keys()


def clipped(doubts: Doubts, *, at: Instant) -> dict[str, ObjectDoubt]:
    """The doubts with no moment that lies ahead: when the clock was set back, every wait begins anew."""
    return {
        href: replace(
            doubt,
            since=min(doubt.since, at),
            last=None if doubt.last is None else min(doubt.last, at),
            proved=None if doubt.proved is None else min(doubt.proved, at),
        )
        if max(doubt.since, doubt.last or at, doubt.proved or at) > at
        else doubt
        for href, doubt in doubts.items()
    }


# What follows from a look, and from what was fetched after it.


def after_listing(
    doubts: Doubts, plan: SyncPlan, *, uids: Mapping[str, str], is_whole: bool, at: Instant
) -> dict[str, ObjectDoubt]:
    """The doubts once a look has listed some objects and lacked others. What it says nothing about stays as it was.

    `uids` are those of what is gone; `is_whole`: the calendar was compared as a whole, not by a delta, which names what
    has gone lately.
    """
    listed = plan.etags
    kept = {
        href: doubt
        for href, doubt in doubts.items()
        if href not in listed or (_is_listed(doubt) and doubt.etag == listed[href])
    }
    for href in plan.gone:
        doubt = kept.get(href)
        if doubt is None or not (doubt.kind is DoubtKind.GONE or (is_whole and doubt.kind is DoubtKind.UNLISTED)):
            kept[href] = ObjectDoubt(DoubtKind.GONE, at, uid=uids.get(href, ""))
    return kept


def after_fetch(
    doubts: Doubts, plan: SyncPlan, *, missing: Collection[str], outdated: Collection[str], at: Instant
) -> dict[str, ObjectDoubt]:
    """The doubts once changed objects were fetched: `missing` was not handed out, `outdated` as another version.

    What is known of a contradiction about the same version goes on; what the look calls gone as well is asked as gone.
    """
    listed = plan.etags
    new = {href: ObjectDoubt(DoubtKind.UNREAD, at, etag=listed.get(href, "")) for href in missing}
    new |= {href: ObjectDoubt(DoubtKind.OUTDATED, at, etag=listed.get(href, "")) for href in outdated}
    had = set(plan.fetch).difference(missing, outdated) if doubts else set()
    return {**new, **{href: doubt for href, doubt in doubts.items() if href not in had}}


def after_answers(doubts: Doubts, answers: Answers, *, at: Instant) -> dict[str, ObjectDoubt]:
    """The doubts once objects have answered themselves."""
    left = {href: doubt for href, doubt in doubts.items() if href not in answers.asked}
    for href in answers.asked & doubts.keys():
        doubt = _answered(doubts[href], answers, href=href, at=at)
        if doubt is not None:
            left[href] = doubt
    return left


def _answered(doubt: ObjectDoubt, answers: Answers, *, href: str, at: Instant) -> ObjectDoubt | None:
    got = answers.got.get(href)
    again = replace(doubt, asked=doubt.asked + 1, last=at)
    is_missing = doubt.kind in (DoubtKind.GONE, DoubtKind.UNLISTED)
    if href in answers.not_found:
        if is_missing:
            since = doubt.since if doubt.kind is DoubtKind.GONE else at
            return ObjectDoubt(DoubtKind.GONE, since, last=at, proved=at, uid=doubt.uid)
        return replace(again, kind=DoubtKind.UNREAD)
    if got is None:
        return replace(doubt, last=at)
    if doubt.kind is DoubtKind.UNLISTED:
        return again
    if is_missing:
        return ObjectDoubt(DoubtKind.UNLISTED, at, asked=1, last=at, uid=doubt.uid)
    if is_current(got.fetched.etag, doubt.etag, is_as_before=got.is_as_before):
        return None
    return replace(again, kind=DoubtKind.OUTDATED)


def is_current(etag: str, listed: str, *, is_as_before: bool) -> bool:
    """Whether an object handed out with `etag` is the version that was listed as new or changed.

    Without an ETag of its own an old text is not; where none was listed, any is.
    """
    if not listed:
        return True
    return is_same_etag(etag, listed) if etag else not is_as_before


# What is asked, and when.


def next_question(doubts: Doubts, earlier: Sequence[Answers], *, at: Instant) -> Question | None:
    """What to ask singly now; `earlier` are the answers of the same poll.

    Of much that is missing only a sample is asked first. If none of it is there, the rest is asked by and by; if any
    is, the listing is false, and it is looked at again first.
    """
    asked = frozenset[str]().union(*(answers.asked for answers in earlier))
    due = [href for href, doubt in doubts.items() if href not in asked and is_due(doubt, at=at)]
    due.sort(key=lambda href: (doubts[href].last or 0, href))  # who has waited longest comes first
    missing = [href for href in due if doubts[href].kind is DoubtKind.GONE]
    others = [href for href in due if doubts[href].kind is not DoubtKind.GONE][:ASKED_AT_MOST]
    if not earlier:
        sample = sorted(missing, key=lambda href: crc32(f"{at} {href}".encode()))[:SAMPLE]
        return Question((*sorted(sample), *sorted(others))) if sample or others else None
    first = earlier[0]
    is_false = any(href in doubts and doubts[href].kind is DoubtKind.UNLISTED for href in first.got)
    if len(earlier) > 1 or first.is_cut or first.failed or is_false or not missing:
        return None
    return Question(tuple(missing[:ASKED_AT_MOST]), multiget=True)


def is_due(doubt: ObjectDoubt, *, at: Instant) -> bool:
    """Whether an object is to be asked for singly (again)."""
    if doubt.proved is not None:
        return False
    return doubt.last is None or has_passed(doubt.last, _wait(doubt), at=at)


def next_look(doubts: Doubts, at: Instant) -> Instant | None:
    """When the calendar is looked at again, because a listing and its objects contradict each other."""
    waits = (_wait(doubt) for doubt in _unsettled(doubts))
    return min((Instant(at + wait) for wait in waits), default=None)


def needs_listing(doubts: Doubts) -> bool:
    """Whether the next look has to compare the calendar as a whole."""
    return any(True for _ in _unsettled(doubts))


def is_settled(doubt: ObjectDoubt) -> bool:
    """Whether a contradiction is so old, and was seen so often, that nothing else is to be expected.

    One about a listing that lacks what is handed out never is: what else may it lack?
    """
    if not _is_listed(doubt) or doubt.last is None:
        return False
    return doubt.asked >= SETTLED_LOOKS and doubt.last - doubt.since >= SETTLED_AFTER


def is_listing_false(doubts: Doubts) -> bool:
    """Whether the calendar hands out what it does not list, so that its listing proves nothing of the whole."""
    return any(doubt.kind is DoubtKind.UNLISTED for doubt in doubts.values())


def _wait(doubt: ObjectDoubt) -> int:
    if is_settled(doubt):
        return SETTLED_ASK
    return min(max((doubt.last or doubt.since) - doubt.since, ASK_AGAIN), LONGEST_ASK)


def _unsettled(doubts: Doubts) -> Iterator[ObjectDoubt]:
    return (doubt for doubt in doubts.values() if doubt.kind is not DoubtKind.GONE and not is_settled(doubt))


def _is_listed(doubt: ObjectDoubt) -> bool:
    return doubt.kind in (DoubtKind.UNREAD, DoubtKind.OUTDATED)
