"""From what a server says of one calendar to what to change in its mirror: values that can be printed. Pure.

Deletion needs positive proof, and a proof that would take much at once needs a second one: the worst failure of a sync
is to read "nothing received" as "everything deleted". What other calendars have to do with it is `round.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from busyd.period import Instant
from busyd.sync.timing import HOLD

MANY: Final = 20
"""More disappearances than this in one look wait for a second look."""
SHARE: Final = 0.3
"""So does more than this share of a calendar, from FEW objects on."""
FEW: Final = 5

UNREAD_ETAG: Final = ""
"""The ETag of an object that is listed but could not be fetched: it is tried again at every sync."""


class SyncState(Struct, frozen=True):
    """What the mirror holds of a calendar."""

    etags: Mapping[str, str]
    """Href -> ETag."""
    tokens: tuple[str, ...] = ()
    """The tokens to ask with, the newest last. An older one shows once more what was changed since, and what turned up
    late; but of an object made and deleted after it a server need not say anything (RFC 6578 §3.5.2)."""
    newest_token: str | None = None
    """The token that stands for the mirror."""
    ctag: str | None = None
    held: Mapping[str, Instant] = field(default_factory=dict)
    """Href -> when a look first found it gone, for what is not yet believed to be."""


class SyncPlan(Struct, frozen=True):
    """How a mirror differs from the remote."""

    fetch: tuple[str, ...]
    """Hrefs whose object is new or changed, sorted."""
    gone: frozenset[str]
    """Hrefs of the mirror that this look found gone."""
    unmentioned: frozenset[str] = frozenset()
    """Held hrefs that this look says nothing about: they stay held."""
    empty: bool = False
    """Nothing at all was listed: only believed twice, however little it takes."""
    etags: Mapping[str, str] = field(default_factory=dict)
    """What the look says of each href it mentions."""


class Look(Struct, frozen=True):
    """What a look at a calendar showed, and the token that stands for it."""

    plan: SyncPlan
    sync_token: str | None
    compared_all: bool
    """True when the whole listing was compared, not only what a token brought."""
    unproved: bool = False
    """Something was missing from the listing, and whether it is gone could not be found out."""
    refused: bool = False
    """The tokens asked with are of no use: unknown to the server, or contradicted by the collection itself."""


class Delta(Struct, frozen=True):
    """One sync-collection answer with all its pages."""

    changed: Mapping[str, str]
    """Href -> ETag."""
    vanished: frozenset[str]
    token: str | None
    itself: bool
    """The collection was listed as well."""


class Removal(Struct, frozen=True):
    """What becomes of the hrefs that were found gone."""

    forget: frozenset[str]
    held: Mapping[str, Instant]
    """Their time stays blocked until a later look agrees. Href -> when it was first found gone."""


def plan_delta(state: SyncState, *, changed: Mapping[str, str], vanished: Iterable[str]) -> SyncPlan:
    """Plan for a sync-collection answer with a token (RFC 6578 §3.5): only what it names has changed.

    A server may answer an old token with everything, so what has the mirror's ETag is not fetched again; a 404 row
    of an href the mirror never had (made and deleted in between) is nothing.
    """
    gone = frozenset(vanished) & state.etags.keys() - changed.keys()
    unmentioned = frozenset(state.held.keys() & state.etags.keys() - changed.keys() - gone)
    return SyncPlan(_differing(state, changed, gone=gone), gone, unmentioned, etags=changed)


def plan_listing(state: SyncState, listed: Mapping[str, str]) -> SyncPlan:
    """Plan for a complete listing: what the mirror has beyond it is gone."""
    gone = frozenset(state.etags.keys() - listed.keys())
    return SyncPlan(_differing(state, listed, gone=gone), gone, empty=not listed, etags=listed)


def weigh(state: SyncState, plan: SyncPlan, *, at: Instant, gone: Iterable[str] = (), grace_period: int = 0) -> Removal:
    """Decide what to believe of a plan's `gone`, and of further hrefs that fetching found gone.

    `grace_period` is how many seconds anything found gone must have been so already, because there is some doubt.
    """
    all_gone = plan.gone | (frozenset(gone) & state.etags.keys())
    waiting = {href: state.held[href] for href in plan.unmentioned - all_gone}
    if is_much(state, plan, gone=all_gone):
        grace_period = max(grace_period, HOLD)
    forget = {href for href in all_gone if _is_proved(state.held.get(href), at, grace_period=grace_period)}
    held = {href: min(state.held.get(href, at), at) for href in all_gone - forget}
    return Removal(frozenset(forget), held | waiting)


def _is_proved(first: Instant | None, at: Instant, *, grace_period: int) -> bool:
    """Found gone for the first time it is believed unless there is doubt; what was once doubted stays so a while."""
    return not grace_period if first is None else at - first >= max(grace_period, HOLD)


def is_many(state: SyncState, gone: frozenset[str]) -> bool:
    """The brake: so much at once is more likely to be a server's mistake than a person's wish."""
    return len(gone) > MANY or (len(gone) >= FEW and len(gone) > SHARE * len(state.etags))


def is_much(state: SyncState, plan: SyncPlan, *, gone: Iterable[str] = ()) -> bool:
    """The same for a whole look and what fetching found gone. To list nothing at all is always too much."""
    return plan.empty or is_many(state, plan.gone | (frozenset(gone) & state.etags.keys()))


def contradicts(state: SyncState, asked: str, *, delta: Delta, ctag: str | None) -> bool:
    """Whether a sync answer says that nothing changed since the token `asked`, although the collection has."""
    silent = not delta.changed and not delta.vanished and delta.token == asked
    return silent and (ctag != state.ctag or asked != state.newest_token)


def may_be_everything(state: SyncState, asked: str, *, delta: Delta) -> bool:
    """Whether the token seems to be so old that it was answered with all there is: then deletions are not told."""
    known = [href for href in delta.changed if href in state.etags]
    if len(known) >= FEW and 2 * len(known) >= len(state.etags):
        return True
    unchanged = sum(1 for href in known if delta.changed[href] == state.etags[href])
    return asked == state.newest_token and unchanged >= FEW


def needs_members(state: SyncState, listing: Delta) -> bool:
    """Whether a whole sync-collection answer misses so much that the members are listed in another way as well."""
    absent = frozenset(state.etags.keys() - listing.changed.keys())
    nothing = not (listing.changed or listing.itself)
    return listing.token is not None and (bool(absent and not listing.changed) or nothing or is_many(state, absent))


def to_ask_singly(state: SyncState, listed: Mapping[str, str]) -> frozenset[str]:
    """What a whole listing lacks and is asked for by a GET of its own: a few, for the brake holds back many."""
    absent = frozenset(state.etags.keys() - listed.keys())
    return absent if listed and not is_many(state, absent) else frozenset()


def _differing(state: SyncState, listed: Mapping[str, str], *, gone: frozenset[str]) -> tuple[str, ...]:
    unread = {href for href, etag in state.etags.items() if etag == UNREAD_ETAG} - gone
    return tuple(sorted(unread.union(href for href, etag in listed.items() if state.etags.get(href) != etag)))
