"""Reading one calendar collection: first what is new and changed, later what is gone, and where the mirror then stands.

The two are apart because an event that left one calendar may have arrived in another: nothing is forgotten before all
of an account was looked at.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing
from zlib import crc32

from msgspec import Struct

from busyd.index.writer import Incoming
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import CalendarRecord, SyncMark
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.fetch import fetch
from busyd.sync.plan import UNREAD_ETAG, SyncState, weigh
from busyd.sync.run import Look, look
from busyd.sync.timing import HOLD, RECONCILE_EVERY, REREAD_DAYS, SETTLE, UNREAD_AGAIN, has_passed

logger = logging.getLogger(__name__)


class SyncOutcome(Struct, frozen=True):
    """What a look at a calendar brought: its changes are stored, its removals and its token are not yet."""

    record: CalendarRecord
    state: SyncState
    look: Look
    vanished: frozenset[str] = frozenset()
    """Listed, but proved gone when they were fetched."""
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


def needs_look(record: CalendarRecord, at: Instant) -> bool:
    """Whether the listing leaves any doubt that the mirror is the calendar's state."""
    return not record.complete or _compare_all(record, at) or is_look_due(record, at) or _has_news(record)


def is_look_due(record: CalendarRecord, at: Instant) -> bool:
    """Whether a second look was promised and its time has come, or the wall clock went back before it."""
    return record.look_again is not None and (at >= record.look_again or record.look_again - at > UNREAD_AGAIN)


def _has_news(record: CalendarRecord) -> bool:
    """Whether the listing says that something changed, or fails to say that nothing did."""
    if record.remote.ctag is not None:
        return record.remote.ctag != record.ctag
    return record.remote.sync_token is None or record.remote.sync_token != record.sync_token


async def read_changes(context: PollContext, record: CalendarRecord, at: Instant, report: Report) -> SyncOutcome:
    """Look at a calendar and store what is new and changed in it. Raises RemoteError; what was stored stays."""
    etags = await context.store.read_etags(record.id)
    newest = record.sync_token if record.complete else None
    earlier = record.earlier_token if is_look_due(record, at) else None
    news = [newest] if _has_news(record) or earlier is None else []
    state = SyncState(etags, tuple(filter(None, (earlier, *news))), newest, record.ctag, record.held)
    full = _compare_all(record, at) or (is_look_due(record, at) and (earlier is None or bool(record.held)))
    found = await look(context.client, record.remote.href, state, ctag=record.remote.ctag, full=full)
    wanted, listed = found.plan.fetch, found.plan.etags
    if found.compared_all and record.complete and _compare_all(record, at):
        wanted = tuple(sorted({*wanted, *_read_anew_today(etags.keys() - found.plan.gone, at)}))
    done, vanished, unread = 0, set[str](), False
    report(Progress(context.name, record.label, "fetching", 0, len(wanted)))
    try:
        async with aclosing(fetch(context.client, record.remote.href, wanted, known=etags)) as batches:
            async for batch in batches:
                incoming = [
                    Incoming(one.href, one.etag or listed.get(one.href, ""), one.payload) for one in batch.objects
                ]
                await context.writer.store_batch(record, incoming, unread=batch.unread)
                done, unread = done + len(incoming), unread or bool(batch.unread)
                vanished |= batch.vanished
                report(Progress(context.name, record.label, "fetching", done, len(wanted)))
    finally:
        if done or unread:
            await refresh_state(context)
    return SyncOutcome(record, state, found, frozenset(vanished), unread, min(done, len(found.plan.fetch)))


async def settle(context: PollContext, outcome: SyncOutcome, at: Instant, *, grace_period: int) -> None:
    """Forget what is gone, and commit the token together with that: only now everything it stands for is stored.

    `grace_period`: seconds for which anything gone must have been found gone already.
    """
    record, state, found = outcome.record, outcome.state, outcome.look
    if outcome.unread:
        grace_period = max(grace_period, HOLD)  # it may be what the gone one was renamed to
    removal = weigh(state, found.plan, at, gone=outcome.vanished, grace_period=grace_period)
    again, earlier = _second_look(outcome, at, removal.held)
    mark = SyncMark(
        ctag=record.remote.ctag,
        sync_token=found.sync_token,
        as_of=at,
        reconciled=at if found.compared_all else None,
        held=removal.held,
        earlier_token=earlier,
        look_again=again,
    )
    gone = await context.writer.store_batch(record, (), gone=removal.forget, mark=mark)
    if outcome.fetched or gone or not record.complete:
        logger.info("%s: %d changed, %d gone, %d held back", record.label, outcome.fetched, gone, len(removal.held))
    if removal.held.keys() - state.held.keys():
        logger.warning("%s: %d events look deleted; their time stays busy until a second look agrees",
                       record.label, len(removal.held))  # fmt: skip
    await refresh_state(context)


def _second_look(outcome: SyncOutcome, at: Instant, held: Mapping[str, Instant]) -> tuple[Instant | None, str | None]:
    """When to look again although nothing may seem to have changed, and from which token; (None, None): all is settled.

    Without a token that look compares everything.
    """
    record, found = outcome.record, outcome.look
    pending = record.look_again is not None and not is_look_due(record, at)
    newest = outcome.state.newest_token
    start = record.earlier_token if record.look_again is not None else newest
    if found.refused or found.unproved:
        start = newest = None
    if held:
        believed = min(held.values()) + HOLD
        return Instant(max(believed if believed > at else at + HOLD, at + SETTLE)), start
    if outcome.unread:
        nothing_else = UNREAD_ETAG in outcome.state.etags.values() and found.sync_token == record.sync_token
        return Instant(at + (UNREAD_AGAIN if nothing_else else SETTLE)), start
    if outcome.changed or found.unproved or not record.complete:
        return Instant(at + SETTLE), start if pending else newest
    return (record.look_again, start) if pending else (None, None)


def _read_anew_today(hrefs: Iterable[str], at: Instant) -> Iterator[str]:
    """Content may change under the same ETag, which only reading it again can find: each object is, once a week."""
    day = at // RECONCILE_EVERY % REREAD_DAYS
    return (href for href in hrefs if crc32(href.encode()) % REREAD_DAYS == day)


def _compare_all(record: CalendarRecord, at: Instant) -> bool:
    return record.reconciled is not None and has_passed(record.reconciled, RECONCILE_EVERY, at)
