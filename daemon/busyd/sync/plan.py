"""From what a server says of one calendar to how its mirror differs: values that can be printed. Pure.

What is missing from an answer is only a candidate for deletion here: `doubts.py` asks each such object itself.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

from busyd.dav.errors import DavError
from busyd.dav.href import is_same_etag
from busyd.period import Instant
from busyd.store.mirror import UNREAD_ETAG, DoubtKind, ObjectDoubt

MANY: Final = 20
SHARE: Final = 0.3
FEW: Final = 5
"""More than MANY, or from FEW on more than this share of a calendar, is much at once."""


class SyncState(Struct, frozen=True):
    """What the mirror holds of a calendar."""

    etags: Mapping[str, str]
    """Href -> ETag."""
    tokens: tuple[str, ...] = ()
    """The tokens to ask with, the newest last. An older one shows once more what was changed since, and what turned up
    late; but of an object made and deleted after it a server need not say anything (RFC 6578 §3.5.2)."""
    newest_token: str | None = None
    """The token that stands for the mirror."""
    has_news: bool = False
    """Something changed since the oldest token, by what the listing says or by what was seen before."""
    doubts: Mapping[str, ObjectDoubt] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    """Hrefs of the other calendars: what an answer names there is theirs (`own_members`)."""
    held: Mapping[str, Instant] = field(default_factory=dict)
    """Of a feed: href -> when a look first found it gone, for what is not yet believed to be."""


class SyncPlan(Struct, frozen=True):
    """How a mirror differs from the remote."""

    fetch: tuple[str, ...]
    """Hrefs whose object is new or changed, sorted."""
    gone: frozenset[str]
    """Hrefs of the mirror that are missing from a whole listing, or that a delta calls gone."""
    empty: bool = False
    """Nothing at all was listed."""
    etags: Mapping[str, str] = field(default_factory=dict)
    """What the look says of each href it mentions."""


class Look(Struct, frozen=True):
    """What a look at a calendar showed, and the token that stands for it."""

    plan: SyncPlan
    sync_token: str | None
    compared_all: bool
    """True when the whole listing was compared, not only what a token brought."""
    refused: bool = False
    """The tokens asked with are of no use: unknown to the server, or contradicted by the collection itself."""
    truncated: bool = False
    """The server would not list everything: neither what it lacks is gone, nor is it all there is."""
    spelled: Mapping[str, str] = field(default_factory=dict)
    """How the server spells hrefs, where that is not the canonical form."""
    sync_fault: DavError | None = None
    """How the sync-collection report was refused, where a listing had to do instead."""
    list_only: bool = False
    """The report was not tried."""


class Delta(Struct, frozen=True):
    """One sync-collection answer with all its pages, or a listing of all members."""

    changed: Mapping[str, str]
    """Href -> ETag. What one page names as changed and another as vanished is in both."""
    vanished: frozenset[str]
    token: str | None
    itself: bool
    """The collection was listed as well."""
    truncated: bool = False
    spelled: Mapping[str, str] = field(default_factory=dict)


def plan_delta(state: SyncState, *, changed: Mapping[str, str], vanished: Iterable[str]) -> SyncPlan:
    """Plan for a sync-collection answer with a token (RFC 6578 §3.5): only what it names has changed.

    What it names is fetched whatever its ETag: SOGo gives the same one to different versions. A 404 row of an href the
    mirror never had (made and deleted in between) is nothing.
    """
    gone = frozenset(vanished) & state.etags.keys()
    return SyncPlan(tuple(sorted(changed)), gone, etags=changed)


def plan_listing(state: SyncState, listed: Mapping[str, str]) -> SyncPlan:
    """Plan for a complete listing: what the mirror has beyond it seems to be gone."""
    gone = frozenset(state.etags.keys() - listed.keys())
    differing = (
        href
        for href, etag in listed.items()
        if (state.etags.get(href) != etag or etag == UNREAD_ETAG) and not _is_asked_singly(state, href, etag=etag)
    )
    return SyncPlan(tuple(sorted(differing)), gone, empty=not listed, etags=listed)


def _is_asked_singly(state: SyncState, href: str, *, etag: str) -> bool:
    """Whether a contradiction about this very version is known: then `doubts.py` says when it is asked for."""
    doubt = state.doubts.get(href)
    return doubt is not None and doubt.kind in (DoubtKind.UNREAD, DoubtKind.OUTDATED) and doubt.etag == etag


def is_many(state: SyncState, gone: frozenset[str]) -> bool:
    """Whether so much at once is more likely to be a server's mistake than a person's wish."""
    return len(gone) > MANY or (len(gone) >= FEW and len(gone) > SHARE * len(state.etags))


def own_members(state: SyncState, listed: Mapping[str, str]) -> Mapping[str, str]:
    """What an answer names of this calendar itself. What lies in another one is read there.

    But where all that is known lies there, or all that a first answer names, the server has two names for one calendar.
    """
    if not state.others:
        return listed
    own = {href: etag for href, etag in listed.items() if not href.startswith(state.others)}
    if len(own) == len(listed) or any(href.startswith(state.others) for href in state.etags):
        return listed
    return own if own or state.etags else listed


def contradicts(state: SyncState, delta: Delta) -> bool:
    """Whether a sync answer names nothing, although the collection says that something changed."""
    return state.has_news and not delta.changed and not delta.vanished


def may_be_everything(state: SyncState, asked: str, *, delta: Delta) -> bool:
    """Whether the token seems to be so old that it was answered with all there is: then deletions are not told."""
    known = [href for href in delta.changed if href in state.etags]
    if len(known) >= FEW and 2 * len(known) >= len(state.etags):
        return True
    unchanged = sum(1 for href in known if is_same_etag(delta.changed[href], state.etags[href]))
    return asked == state.newest_token and unchanged >= FEW


def needs_members(state: SyncState, listing: Delta) -> bool:
    """Whether a whole sync-collection answer misses so much that the members are listed in another way as well."""
    absent = frozenset(state.etags.keys() - listing.changed.keys())
    nothing = not (listing.changed or listing.itself)
    return listing.token is not None and (bool(absent and not listing.changed) or nothing or is_many(state, absent))
