"""Whether a calendar needs a look, why, and how far the look must reach. Pure; when the next is due: second_look.py."""

from collections.abc import Iterable, Iterator, Mapping
from zlib import crc32

from msgspec import Struct

from busyd.period import Instant
from busyd.store.mirror import CalendarRecord
from busyd.sync.doubts import needs_listing
from busyd.sync.plan import SyncState
from busyd.sync.reasons import Reason
from busyd.sync.timing import (
    LOOK_LONGEST,
    RECONCILE_EVERY,
    REREAD_DAYS,
    SUBSCRIPTION_INTERVAL,
    has_passed,
)


class LookPlan(Struct, frozen=True):
    """How a calendar is looked into."""

    state: SyncState
    full: bool
    """Compare the whole calendar instead of asking what changed since a token."""
    reread: bool
    """Of a whole comparison: also read a part of the objects anew whose ETag is unchanged."""
    is_short: bool = False
    """The second look that is due is left to the next poll."""


def why_read(record: CalendarRecord, at: Instant, *, is_awaited: bool = False) -> Reason | None:
    """Why a collection is to be read after a listing, None when the listing leaves no doubt.

    A missing one is asked itself: nothing else proves how it is, or that it is gone. `is_awaited`: somebody waits for
    the poll, so that the daily comparison is left to the next one.
    """
    if record.missing_since is not None:
        return Reason.MISSING
    if not record.complete:
        return Reason.NEVER_READ
    if has_news(record):
        return Reason.CHANGED
    if is_look_due(record, at):
        return Reason.LOOK_AGAIN
    return Reason.DAILY_COMPARISON if is_comparison_due(record, at) and not is_awaited else None


def why_read_feed(record: CalendarRecord, wanted: Instant | None, *, at: Instant) -> Reason | None:
    """Why the source of a subscribed calendar is to be read; None while it is not due.

    `wanted`: somebody waits for a proof at least as young as this.
    """
    if record.remote.source is None:
        return Reason.NO_SOURCE
    if not record.complete or record.validators.get("source") != record.remote.source:
        return Reason.NEVER_READ
    if wanted is not None and (record.as_of is None or not wanted <= record.as_of <= at):
        return Reason.WANTED
    if is_look_due(record, at):
        return Reason.LOOK_AGAIN
    interval = int(record.validators.get("interval", SUBSCRIPTION_INTERVAL))
    return Reason.INTERVAL_OVER if has_passed(record.as_of, interval, at=at) else None


def may_answer_not_modified(record: CalendarRecord, *, at: Instant) -> bool:
    """Whether "not modified" is an answer of use. A feed of which something is held is wanted as a whole, and every
    feed once a day: a server may say for ever that it has not changed."""
    return record.complete and not record.held and not is_comparison_due(record, at)


def other_collections(record: CalendarRecord, records: Iterable[CalendarRecord]) -> tuple[str, ...]:
    """The hrefs of the other collections of a connection, without those in which this one lies."""
    own = record.remote.href
    hrefs = (other.remote.href for other in records if other.remote.href.endswith("/"))
    return tuple(href for href in hrefs if not own.startswith(href))


def plan_look(
    record: CalendarRecord,
    etags: Mapping[str, str],
    *,
    others: tuple[str, ...] = (),
    at: Instant,
    is_awaited: bool = False,
    is_written: bool = False,
) -> LookPlan:
    """How to look into a calendar of which the mirror has `etags` (href -> ETag).

    A second look starts from the token before the last one, so that it sees the last look's changes once more; without
    such a token it compares everything. `is_awaited`: as in `why_read`; `is_written`: and what was written just now is
    to be seen.
    """
    is_short = is_awaited and is_written and is_look_due(record, at)
    is_second = is_look_due(record, at) and not is_short
    newest = record.sync_token if record.complete else None
    earlier = record.earlier_token if is_second else None
    latest = [newest] if has_news(record) or earlier is None else []
    state = SyncState(
        etags,
        tuple(filter(None, (earlier, *latest))),
        newest,
        has_news=record.complete and (_says_changed(record) or earlier is not None),
        doubts=record.doubts,
        others=others,
    )
    daily = is_comparison_due(record, at) and not is_awaited
    full = daily or (is_second and (earlier is None or needs_listing(record.doubts)))
    return LookPlan(state, full, reread=daily and record.complete, is_short=is_short)


def is_look_due(record: CalendarRecord, at: Instant) -> bool:
    """Whether a second look was promised and its time has come, or the wall clock went back before it."""
    return record.look_again is not None and (at >= record.look_again or record.look_again - at > LOOK_LONGEST)


def is_comparison_due(record: CalendarRecord, at: Instant) -> bool:
    """Whether the daily comparison of the whole calendar is due; the first read is one by itself."""
    return record.reconciled is not None and has_passed(record.reconciled, RECONCILE_EVERY, at=at)


def has_news(record: CalendarRecord) -> bool:
    """Whether the listing says that something changed, or fails to say that nothing did.

    Servers are known that move only one of ctag and token; and some list another token than their reports end with.
    """
    remote = record.remote
    if remote.ctag is None and remote.sync_token is None:
        return True
    return remote.ctag != record.ctag or not _is_token_known(record)


def _says_changed(record: CalendarRecord) -> bool:
    """Whether the listing itself says that something changed."""
    remote = record.remote
    has_moved = remote.ctag is not None and remote.ctag != record.ctag
    return has_moved or (remote.sync_token is not None and not _is_token_known(record))


def _is_token_known(record: CalendarRecord) -> bool:
    return record.remote.sync_token in (record.listed_token, record.sync_token)


def hrefs_to_reread(hrefs: Iterable[str], at: Instant) -> Iterator[str]:
    """Content may change under the same ETag, which only reading it again can find: each object is, once a week."""
    day = at // RECONCILE_EVERY % REREAD_DAYS
    return (href for href in hrefs if crc32(href.encode()) % REREAD_DAYS == day)
