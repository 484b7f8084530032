"""The poll: list the calendars of a connection, have `sync/round.py` decide, read, decide again, commit, publish.

Read it from the top down; nothing is decided here. An idle poll of an account is one request; a changed event costs two
more, and one at the next poll. Whatever goes wrong leaves the mirror as it was, lets the proof of the calendar age, and
is shown by status and the log with its reason.
"""

import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from busyd.connection import ConnectionKind, RemoteCalendar
from busyd.dav.errors import DavError, Forbidden, LoginRefused, NotFound
from busyd.dav.operation import Href, Listing, discover_account, list_calendars, list_homes, normalise_href
from busyd.errors import BusydError, DataError, RemoteError
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.transaction import Transaction
from busyd.sync.calendar_sync import ask_for_objects, commit_settlement, read_changes
from busyd.sync.context import (
    PollContext,
    forget_denials,
    forget_trouble,
    known_calendars,
    leave_alone,
    recent_arrivals,
    refresh_state,
    remember_arrivals,
    remember_doubts,
    remember_failure,
    remember_false_listing,
    remember_recovery,
)
from busyd.sync.decision import (
    Action,
    AskForObjects,
    AskWhetherGone,
    Decision,
    ReadCalendar,
    Request,
    RoundPlan,
    is_proof,
)
from busyd.sync.doubts import Question
from busyd.sync.feed_sync import poll_feed, read_subscription
from busyd.sync.removals import ask_whether_gone, commit_removal, commit_stop_counting
from busyd.sync.round import feed_failed, keep_counting, plan_round
from busyd.sync.round_facts import KnownCalendar, Now, ObjectsAsked, Outcome, ReadFailed
from busyd.sync.settlement import SyncOutcome
from busyd.sync.timing import REDISCOVER_EVERY, REFUSAL_PAUSE, has_passed

logger = logging.getLogger(__name__)

_MOST_ASKED: Final = 50
"""Calendars that a truncated listing does not show and that are asked for, in one poll."""


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
    await _take_listing(context, listing, account=account, at=at)
    known, now = known_calendars(context), Now(at, context.clock.monotonic())
    plan = await _read(context, listing, known=known, now=now, report=report)
    await _commit(context, plan, at=at)
    for decision in plan.having(Action.READ_FEED):
        await _read_subscription(context, decision.record, at=at, report=report)
    if plan.ended is not None:
        raise plan.ended
    count = sum(calendar.is_followed for calendar in known)
    report(Progress(context.name, "", "done", count, count))
    return True


async def _read(
    context: PollContext, listing: Listing, *, known: Sequence[KnownCalendar], now: Now, report: Report
) -> RoundPlan:
    """Send what the plan asks for, one request after the other, until the plan is final."""
    outcomes: list[Outcome] = []
    arrived = recent_arrivals(context, now.wall)
    plan = plan_round(listing, known, arrived=arrived, now=now)
    remember_doubts(context, plan)
    while plan.request is not None:
        outcome = await _send(context, plan.request, at=now.wall, report=report)
        if isinstance(outcome, SyncOutcome):
            remember_arrivals(context, outcome, at=now.wall)
        outcomes.append(outcome)
        earlier, plan = plan, plan_round(listing, known, outcomes=outcomes, arrived=arrived, now=now)
        for failure in plan.failed_since(earlier):
            _note_failure(context, failure, report=report)
    logger.debug("%s: this round is decided\n%s", context.name, plan)
    return plan


async def _send(context: PollContext, request: Request, *, at: Instant, report: Report) -> Outcome:
    match request:
        case ReadCalendar(record):
            return await _read_calendar(context, record, at=at, report=report)
        case AskWhetherGone(record):
            return await ask_whether_gone(context, record)
        case AskForObjects(record, question):
            return await _ask_for_objects(context, record, question=question)


async def _read_calendar(
    context: PollContext, record: CalendarRecord, *, at: Instant, report: Report
) -> SyncOutcome | ReadFailed:
    try:
        try:
            return await read_changes(context, record, at=at, report=report)
        except LoginRefused:
            # QUIRK(icloud): single requests are refused now and then; the listing has just shown the login to be good.
            await context.clock.sleep(REFUSAL_PAUSE)
            return await read_changes(context, record, at=at, report=report)
    except (RemoteError, DataError) as error:
        return ReadFailed(record, error)


async def _ask_for_objects(context: PollContext, record: CalendarRecord, *, question: Question) -> ObjectsAsked:
    asked = await ask_for_objects(context, record, question=question)
    if isinstance(asked.error, LoginRefused):
        await context.clock.sleep(REFUSAL_PAUSE)  # as in `_read_calendar`
        asked = await ask_for_objects(context, record, question=question)
    return asked


async def _commit(context: PollContext, plan: RoundPlan, *, at: Instant) -> None:
    """What is believed, one transaction a calendar; then all that the listing has proved."""
    for decision in plan.having(Action.SETTLE):
        await commit_settlement(context, decision)
        if is_proof(decision):
            remember_recovery(context, decision.record)
        else:
            remember_false_listing(context, decision)
    for decision in plan.having(Action.REMOVE):
        await commit_removal(context, decision)
        remember_recovery(context, decision.record)
    for decision in plan.having(Action.STOP_COUNTING):
        await commit_stop_counting(context, decision)
    for decision in plan.left_alone:
        leave_alone(context, decision)
    remember_doubts(context, plan)
    forget_denials(context, plan)
    forget_trouble(context, plan)
    await _confirm(context, [decision.record for decision in plan.confirm], at=at)


async def _read_subscription(context: PollContext, record: CalendarRecord, *, at: Instant, report: Report) -> None:
    """Follow a subscribed calendar. Its host is not the account's, so no trouble there is the account's."""
    try:
        await read_subscription(context, record, at=at)
        remember_recovery(context, record)
    except BusydError as error:
        _note_failure(context, feed_failed(record, error, at=at), report=report)


def _note_failure(context: PollContext, failure: Decision, *, report: Report) -> None:
    remember_failure(context, failure)
    trouble = context.connection_state.calendar_trouble[failure.record.id]
    report(Progress(context.name, failure.record.label, "failed", detail=trouble))


async def _list(context: PollContext, report: Report) -> tuple[Listing, AccountRecord | None]:
    """The calendars behind the connection: one request a home, unless the account must be discovered first (then with
    it)."""
    connection, at = context.connection_state.connection, context.clock.now()
    context.connection_state.asked = Now(at, context.clock.monotonic())
    account = await context.store.read_account(connection.name)
    login = (connection.url, connection.username)
    known = account if account is not None and (account.root, account.username) == login else None
    is_lost = False
    if known is not None and not has_passed(known.discovered, REDISCOVER_EVERY, at=at):
        try:
            return await _list_homes(context, known.homes, single=known.single), None
        except (NotFound, Forbidden):
            logger.info("%s: its calendar home has moved, discovering it anew", connection.name)
            is_lost = True
    report(Progress(connection.name, "", "discovering"))
    try:
        discovered = await context.client.run(discover_account(connection.url))
    except DavError as error:
        if known is not None and known.single and isinstance(error, NotFound | Forbidden):
            return Listing(()), None  # the one calendar says itself that it is not there: it is missing
        if known is None or is_lost:
            raise
        return await _list_homes(context, known.homes, single=known.single), None
    listing = await _list_homes(context, discovered.homes, single=discovered.is_single)
    return listing, AccountRecord(
        connection=connection.name,
        root=connection.url,
        username=connection.username,
        principal=discovered.principal,
        homes=discovered.homes,
        addresses=tuple(filter(None, (*discovered.addresses, discovered.principal))),
        single=discovered.is_single,
        discovered=context.clock.now(),
    )


async def _list_homes(context: PollContext, homes: Sequence[str], *, single: bool) -> Listing:
    """What the homes list. Of a partial listing nothing is proved absent: what it lacks is neither known nor gone.

    What some profile counts and a truncated listing does not show is asked for by itself.
    """
    listing = await context.client.run(list_homes(homes, single=single))
    if not listing.partial:
        return listing
    shown = {remote.href for remote in listing.calendars}
    hidden = [known for known in known_calendars(context) if known.record.remote.href not in shown]
    found: list[RemoteCalendar] = []
    for known in [known for known in hidden if known.is_followed and listing.truncated][:_MOST_ASKED]:
        with contextlib.suppress(DavError):
            found += (await context.client.run(list_calendars(known.record.remote.href, single=True))).calendars
    shown |= {remote.href for remote in found}
    unknown = {known.record.remote.href for known in hidden if not known.record.gone} - shown
    unreadable = tuple(dict.fromkeys((*listing.unreadable, *(Href(href) for href in sorted(unknown)))))
    return replace(listing, calendars=(*listing.calendars, *found), unreadable=unreadable)


async def _take_listing(context: PollContext, listing: Listing, *, account: AccountRecord | None, at: Instant) -> None:
    """Commit an account together with its first listing: one without the other would look like no calendars at all."""
    taken = keep_counting(listing, [calendar.record for calendar in known_calendars(context)])

    def commit(tx: Transaction) -> None:
        before = tx.read_account(context.name)
        if account is not None:
            tx.record_account(account)
        tx.record_partial(context.name, listing.partial)
        tx.record_listing(context.name, taken.calendars, at=at, unreadable=taken.unreadable)
        if account is not None and before is not None and _has_moved(before, account):
            # What the old home says any longer, even that all is there, is nothing.
            for record in tx.read_calendars(context.name):
                if record.missing_since is not None:
                    tx.record_gone(record.id)

    await context.store.transaction(commit)
    connection_state = context.connection_state
    if account is not None:
        connection_state.addresses = account.addresses
    if listing.partial and not connection_state.partial:
        logger.warning("%s: %s; what is not listed counts as not known", context.name, listing.partial)
    is_other = listing.partial != connection_state.partial
    connection_state.partial = listing.partial
    await refresh_state(context, relink=not connection_state.listed or is_other)


def _has_moved(before: AccountRecord, after: AccountRecord) -> bool:
    """Whether none of an account's homes is one any more. Another host alone is none: iCloud's shards come and go."""
    old, new = ({normalise_href(home, collection=True) for home in account.homes} for account in (before, after))
    return not before.single and not after.single and old.isdisjoint(new)


async def _confirm(context: PollContext, records: Sequence[CalendarRecord], *, at: Instant) -> None:
    """The listing has just proved that these calendars are as the mirror has them."""
    for record in records:
        remember_recovery(context, record)
    if records:
        await context.store.confirm_calendars([record.id for record in records], at)
    fresh = await context.store.read_calendars(context.name)
    await context.writer.publisher.confirm(fresh)
