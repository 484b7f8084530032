"""Reading a feed: an `ics` connection, or the source of a calendar that iCloud only lists as subscribed.

A feed is one answer with many events. It is cut into one object a UID, so that a changed event is one object read
anew, and goes through the same plan as a calendar collection: what is missing is gone, but much at once needs a second
look.
"""

import asyncio
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Final

from busyd.clock import Now
from busyd.connection import CalendarKind, Connection, RemoteCalendar
from busyd.errors import DataError
from busyd.ical.values import BadValue, read_duration
from busyd.index.batch import Incoming
from busyd.index.worker import WorkerFailed
from busyd.index.worker_process import FeedPiece
from busyd.period import Instant
from busyd.remote.feed import FeedContent, NotModified
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.transaction import Transaction
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.due import may_answer_not_modified
from busyd.sync.feed_settlement import settle_feed
from busyd.sync.plan import SyncPlan, SyncState, plan_listing
from busyd.sync.timing import (
    CUT_FEED,
    LONGEST_INTERVAL,
    SHORTEST_INTERVAL,
    SUBSCRIPTION_INTERVAL,
    has_passed,
)

logger = logging.getLogger(__name__)

_MANY: Final = 5000
"""Events of a feed that are looked through in one step of the loop."""
_LAST_LINES: Final = 256
"""Bytes in which the end of a piece is."""
_HEAD: Final = 64 * 1024
"""Bytes in which a feed's own properties are looked for."""
_OUR_FEED: Final = re.compile(r"/feeds/([^/?#]+)\.ics(?:[?#]|$)")
_HINT: Final = re.compile(
    rb"^(REFRESH-INTERVAL|X-PUBLISHED-TTL)(?:;[^:\r\n]*)?:([A-Z0-9]{2,24})", re.MULTILINE | re.IGNORECASE
)


async def poll_feed(context: PollContext, at: Instant) -> bool:
    """Read the one calendar of an `ics` connection. Raises RemoteError, or DataError when it is not iCalendar.

    How often is what the configuration says; what the feed asks for does not count against the person. False when
    nothing was asked, because no profile uses the feed.
    """
    connection = context.connection_state.connection
    context.connection_state.asked = Now(at, context.clock.monotonic())
    remote = RemoteCalendar(href=connection.url, name=connection.name, kind=CalendarKind.FEED, writable=False)

    def commit(tx: Transaction) -> None:
        known = tx.read_account(connection.name)
        if known is None or (known.root, known.username) != (connection.url, connection.username):
            # Another login may be shown other events under the same address: what is known of it goes with the login.
            tx.record_account(_account_of(connection, at=at))
        tx.record_listing(connection.name, [remote], at=at)

    await context.store.transaction(commit)
    context.connection_state.listed = True
    await refresh_state(context)
    linked = context.state.linked_calendars(connection.name)
    wanted = [record for record in linked if record.remote.href == remote.href]
    for record in wanted:
        await _read(context, record, url=connection.url, at=at, interval=int(connection.poll.total_seconds()))
    return bool(wanted)


def _account_of(connection: Connection, *, at: Instant) -> AccountRecord:
    return AccountRecord(
        connection=connection.name,
        root=connection.url,
        username=connection.username,
        principal="",
        homes=(connection.url,),
        addresses=(),
        single=True,
        discovered=at,
    )


async def read_subscription(context: PollContext, record: CalendarRecord, *, at: Instant) -> None:
    """Read the source of a subscribed calendar. Never sends the account's credential there. Raises BusydError."""
    source = record.remote.source
    if source is None:
        message = "its server does not say where its events are"
        raise DataError(message)
    await _read(context, record, url=source, at=at, interval=None)


class OwnFeed(DataError):
    """A feed of busyd itself: what it says would be true for as long as it is read."""


async def _require_foreign(context: PollContext, url: str) -> None:
    """Raises OwnFeed."""
    found = _OUR_FEED.search(url)
    if found is not None and await context.ledger.find_token(found[1], context.clock.now()) is not None:
        raise OwnFeed("this is a feed of this busyd; name the calendars that it is made of instead")


async def _read(context: PollContext, record: CalendarRecord, *, url: str, at: Instant, interval: int | None) -> None:
    """`interval`: seconds between two looks, None to let the feed decide."""
    await _require_foreign(context, url)
    known = record.validators if record.validators.get("source") == url else {}
    is_conditional = may_answer_not_modified(record, at=at) and not context.connection_state.thorough
    answer = await context.read_feed(url, known if is_conditional else {})
    if isinstance(answer, NotModified):
        await _confirm(context, record, validators={**known, **_validators(answer)}, at=at)
        return
    _require_end(context, record, is_cut=answer.is_cut, was_cut="cut" in known, at=at)
    found = await _split(context, answer.payload)
    state = SyncState(await context.store.read_etags(record.id), held=record.held)
    # With tens of thousands of events any look through all of them would hold up the loop.
    pieces, plan = await asyncio.to_thread(_plan, state, found) if len(found) > _MANY else _plan(state, found)
    pace = {"source": url, "interval": str(_wanted_interval(answer.payload) if interval is None else interval)}
    pace |= {"cut": "1"} if answer.is_cut else {}
    settlement = settle_feed(state, plan, validators=_validators(answer) | pace, at=at, is_cut=answer.is_cut)
    incoming = [Incoming(href, plan.etags[href], pieces[href].payload) for href in plan.fetch if href in pieces]
    changed = await context.writer.store_batch(record, incoming, gone=settlement.forget, mark=settlement.mark)
    if changed or not record.complete:
        counts = (len(incoming), len(settlement.forget), len(settlement.kept))
        logger.debug("%s: %d changed, %d gone, %d held back", record.label, *counts)
    await refresh_state(context)


def _plan(state: SyncState, found: Iterable[FeedPiece]) -> tuple[dict[str, FeedPiece], SyncPlan]:
    """The objects of a download by their hrefs, and how they differ from the mirror."""
    pieces = {f"uid:{piece.uid}": piece for piece in found}
    # Half an event takes nobody's place.
    listed = {
        href: state.etags[href] if href in state.etags and not _is_finished(piece.payload) else piece.digest
        for href, piece in pieces.items()
    }
    return pieces, plan_listing(state, listed)


def _require_end(context: PollContext, record: CalendarRecord, *, is_cut: bool, was_cut: bool, at: Instant) -> None:
    """Refuse a download without its last END:VCALENDAR of a feed that has had one, for a day. Raises DataError.

    Which events it lost, or which overrides of a series, nobody can tell; a feed that never had one is read.
    """
    if not is_cut:
        context.cut_feeds.pop(record.id, None)
    elif record.complete and not was_cut:
        since = context.cut_feeds.setdefault(record.id, at)
        if not has_passed(since, CUT_FEED, at=at):
            message = "the feed is cut short: its last END:VCALENDAR, which it has had, is missing"
            raise DataError(message)


def _is_finished(payload: bytes) -> bool:
    """Whether the last event of a piece has its end."""
    return (
        payload[-_LAST_LINES:]
        .rstrip()
        .upper()
        .endswith((b"END:VEVENT", b"END:VFREEBUSY", b"END:VAVAILABILITY", b"END:VCALENDAR"))
    )


async def _split(context: PollContext, payload: bytes) -> list[FeedPiece]:
    """The objects of a feed. Raises DataError."""
    try:
        return await context.writer.expansion.worker.split_feed(payload)
    except WorkerFailed as error:
        message = f"the feed came, but could not be read: {error}"
        raise DataError(message) from None


async def _confirm(context: PollContext, record: CalendarRecord, *, validators: Mapping[str, str], at: Instant) -> None:
    """The feed has not changed. A validator may have been renewed all the same (RFC 9110 §15.4.5)."""
    if not record.complete:
        message = "the feed's server says that nothing changed, but nothing was read of it yet"
        raise DataError(message)

    def commit(tx: Transaction) -> None:
        tx.confirm_calendars([record.id], at)
        tx.record_validators(record.id, validators)

    await context.store.transaction(commit)
    await refresh_state(context)


def _wanted_interval(payload: bytes) -> int:
    """Seconds between two looks as the feed wants it, within reason (RFC 7986 §5.7, or Microsoft's older name)."""
    head, _, _ = payload[:_HEAD].partition(b"BEGIN:VEVENT")
    hints = dict(reversed([(name.upper(), value) for name, value in _HINT.findall(head)]))
    told = hints.get(b"REFRESH-INTERVAL") or hints.get(b"X-PUBLISHED-TTL")
    if told is None:
        return SUBSCRIPTION_INTERVAL
    try:
        seconds = read_duration(told.decode()).total
    except BadValue:
        return SUBSCRIPTION_INTERVAL
    return min(max(seconds, SHORTEST_INTERVAL), LONGEST_INTERVAL)


def _validators(answer: FeedContent | NotModified) -> dict[str, str]:
    sent = {"etag": answer.etag, "last_modified": answer.last_modified}
    return {name: value for name, value in sent.items() if value}
