"""The first journey: a connection -> what changed -> mirror, busy index, snapshots. Read it from the top down.

An idle poll of an account is one request; a changed event costs two more, and one at the next poll. Whatever goes
wrong leaves the mirror as it was, lets the proof of the calendar age, and is told in words.
"""

import logging
from collections.abc import Sequence
from typing import Final

from busyd.connection import CalendarKind, ConnectionKind
from busyd.dav.errors import DavError, Forbidden, LoginRefused, NotFound, ServerFault, TooManyRequests
from busyd.dav.operation import Listing, discover_account, list_calendars
from busyd.errors import BusydError, DataError, RemoteError
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.remote.backoff import parse_retry_after
from busyd.remote.errors import Unreachable
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.transaction import Transaction
from busyd.sync.calendar_sync import SyncOutcome, needs_look, read_changes, settle
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.feed_sync import poll_feed, poll_subscription
from busyd.sync.removals import (
    ceasing_calendars,
    confirm_removal,
    grace_periods,
    hidden_calendars,
    is_gone,
    still_counting,
    stop_counting,
)
from busyd.sync.timing import (
    CALENDAR_RETRY,
    GONE_AFTER,
    REDISCOVER_EVERY,
    REFUSAL_PAUSE,
    SUBSCRIPTION_RETRY,
    has_passed,
)

logger = logging.getLogger(__name__)

WHOLE_CONNECTION: Final = (LoginRefused, TooManyRequests)
"""What is no fault of one calendar: asking for the next one would only make it worse."""


async def poll_connection(context: PollContext, report: Report) -> bool:
    """Bring every linked calendar of a connection up to date. Raises RemoteError when the connection as a whole fails.

    A fault of one calendar is noted with it and does not keep the others from being read. False when there was nothing
    to ask.
    """
    at = context.clock.now()
    if context.connection_state.connection.kind is ConnectionKind.ICS:
        asked = await poll_feed(context, at)
        report(Progress(context.name, "", "done"))
        return asked
    listing, account = await _list(context, report)
    context.connection_state.login_accepted = True
    ceasing = ceasing_calendars(context, listing)
    await _take_listing(context, still_counting(listing, ceasing), account, at)
    linked = [one for one in context.state.linked_calendars(context.name) if not one.gone]
    collections = [one for one in linked if one.remote.kind is not CalendarKind.SUBSCRIBED]
    failed = await _read_collections(context, collections, ceasing, listing, at, report)
    for record in linked:
        if record.remote.kind is CalendarKind.SUBSCRIBED and record.missing_since is None:
            await _subscription(context, record, at, report)
    if failed is not None:
        raise failed
    report(Progress(context.name, "", "done", len(linked), len(linked)))
    return True


async def _read_collections(
    context: PollContext,
    records: Sequence[CalendarRecord],
    ceasing: Sequence[CalendarRecord],
    listing: Listing,
    at: Instant,
    report: Report,
) -> RemoteError | None:
    """Read what needs it; first all that is new, then all that is gone. What ended it early, if anything did."""
    confirmed: list[CalendarRecord] = []
    outcomes: list[SyncOutcome] = []
    unread: list[CalendarRecord] = []
    gone: list[CalendarRecord] = []
    ended: RemoteError | None = None
    strikes = 0
    # Whoever failed last time comes last: it shall not keep the others from being read.
    for record in sorted(records, key=lambda one: one.id in context.connection_state.calendar_trouble):
        if record.remote.href in listing.unreadable:
            unread.append(record)
        elif not _is_wanted(record, at):
            (confirmed if record.missing_since is None else unread).append(record)
        elif ended is not None or not context.backoff.is_over(record.id, context.clock.monotonic()):
            unread += [record] if record.id not in context.found_gone else []
        else:
            try:
                outcomes.append(await _read_changes(context, record, at, report))
            except (RemoteError, DataError) as error:
                strikes += isinstance(error, Unreachable | ServerFault)
                if _ends_all(error, strikes):
                    ended = error if isinstance(error, RemoteError) else RemoteError(str(error))
                if isinstance(error, NotFound | Forbidden) and await is_gone(context, record, at):
                    gone.append(record)
                    continue
                unread.append(record)
                if not isinstance(error, WHOLE_CONNECTION):
                    _note_trouble(context, record, error, report, rest=CALENDAR_RETRY)
    for record in hidden_calendars(context, records):
        may_ask = ended is None and context.backoff.is_over(record.id, context.clock.monotonic())
        if may_ask and await is_gone(context, record, at):
            gone.append(record)
            continue
        unread += [record] if may_ask or record.id not in context.found_gone else []
        if may_ask:
            context.backoff.failed(record.id, context.clock.monotonic(), first=GONE_AFTER)
    grace_period = await grace_periods(context, outcomes, [*gone, *ceasing], unread, at)
    for outcome in outcomes:
        await settle(context, outcome, at, grace_period=grace_period(outcome.record))
        _recovered(context, outcome.record)
    for record in gone:
        if await confirm_removal(context, record, at, grace_period=grace_period(record)):
            _recovered(context, record)
    for record in ceasing:
        await stop_counting(context, record, at, grace_period=grace_period(record))
    await _confirm(context, confirmed, at)
    return ended


async def _read_changes(context: PollContext, record: CalendarRecord, at: Instant, report: Report) -> SyncOutcome:
    try:
        return await read_changes(context, record, at, report)
    except LoginRefused:
        # QUIRK(icloud): single requests are refused now and then; the listing has just shown that the login is good.
        await context.clock.sleep(REFUSAL_PAUSE)
        return await read_changes(context, record, at, report)


def _is_wanted(record: CalendarRecord, at: Instant) -> bool:
    """Whether to look into a calendar. A missing one is asked itself now and then: nothing else proves it is gone."""
    if record.missing_since is None:
        return needs_look(record, at)
    return has_passed(record.missing_since, GONE_AFTER, at) and has_passed(record.as_of, GONE_AFTER, at)


def _ends_all(error: BusydError, strikes: int) -> bool:
    """Whether to ask for no further calendar. A timeout or a server's fault is the calendar's own, a second is not."""
    if isinstance(error, WHOLE_CONNECTION) or (isinstance(error, ServerFault) and error.status == 503):
        return True
    return strikes > 1 and isinstance(error, Unreachable | ServerFault)


async def _subscription(context: PollContext, record: CalendarRecord, at: Instant, report: Report) -> None:
    """Follow a subscribed calendar. Its host is not the account's, so no trouble there is the account's."""
    try:
        if await poll_subscription(context, record, at):
            _recovered(context, record)
    except BusydError as error:
        told = error.retry_after if isinstance(error, TooManyRequests) else None
        least = 2.0 * (parse_retry_after(told, at) or 0.0)
        _note_trouble(context, record, error, report, rest=SUBSCRIPTION_RETRY, least=least)


async def _list(context: PollContext, report: Report) -> tuple[Listing, AccountRecord | None]:
    """The calendars behind the connection: one request, unless the account must be discovered first (then with it)."""
    connection = context.connection_state.connection
    account = await context.store.read_account(connection.name)
    login = (connection.url, connection.username)
    known = account if account is not None and (account.root, account.username) == login else None
    if known is not None and not has_passed(known.discovered, REDISCOVER_EVERY, context.clock.now()):
        try:
            return await context.client.run(list_calendars(known.home, single=known.single)), None
        except (NotFound, Forbidden):
            logger.info("%s: its calendar home has moved, discovering it anew", connection.name)
            known = None
    report(Progress(connection.name, "", "discovering"))
    try:
        found = await context.client.run(discover_account(connection.url))
    except DavError:
        if known is None:
            raise
        return await context.client.run(list_calendars(known.home, single=known.single)), None
    listing = await context.client.run(list_calendars(found.home, single=found.is_single))
    return listing, AccountRecord(
        connection=connection.name,
        root=connection.url,
        username=connection.username,
        principal=found.principal,
        home=found.home,
        addresses=tuple(filter(None, (*found.addresses, found.principal))),
        single=found.is_single,
        discovered=context.clock.now(),
    )


async def _take_listing(context: PollContext, listing: Listing, account: AccountRecord | None, at: Instant) -> None:
    """Commit an account together with its first listing: one without the other would look like no calendars at all."""

    def commit(tx: Transaction) -> None:
        if account is not None:
            tx.record_account(account)
        tx.record_listing(context.name, listing.calendars, at, unreadable=listing.unreadable)

    await context.store.transaction(commit)
    if account is not None:
        context.connection_state.addresses = account.addresses
    await refresh_state(context, relink=not context.connection_state.listed)


async def _confirm(context: PollContext, records: Sequence[CalendarRecord], at: Instant) -> None:
    """The listing has just proved that these calendars are as the mirror has them."""
    for record in records:
        _recovered(context, record)
    if records:
        numbers = [record.id for record in records]
        await context.store.confirm_calendars(numbers, at)
    fresh = await context.store.read_calendars(context.name)
    await context.writer.publisher.confirm(fresh)


def _note_trouble(
    context: PollContext, record: CalendarRecord, error: BusydError, report: Report, *, rest: float, least: float = 0.0
) -> None:
    logger.warning("%s could not be read: %s", record.label, error)
    context.backoff.failed(record.id, context.clock.monotonic(), first=rest, least=least)
    context.connection_state.calendar_trouble[record.id] = str(error)
    context.state.publish()
    report(Progress(context.name, record.label, "failed", detail=str(error)))


def _recovered(context: PollContext, record: CalendarRecord) -> None:
    context.backoff.recovered(record.id)
    context.found_gone.pop(record.id, None)
    context.connection_state.calendar_trouble.pop(record.id, None)
