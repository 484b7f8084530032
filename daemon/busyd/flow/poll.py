"""The poll: list the calendars of a connection, have `sync/round.py` decide, read, decide again, commit, publish.

Read it from the top down; nothing is decided here. An idle poll of an account is one request; a changed event costs two
more, and one at the next poll. Whatever goes wrong leaves the mirror as it was, lets the proof of the calendar age, and
is shown by status and the log with its reason.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from msgspec import Struct

from busyd.connection import ConnectionKind, Privacy
from busyd.dav.errors import LoginRefused
from busyd.dav.operation import Listing
from busyd.errors import BusydError, DataError, RemoteError
from busyd.flow.list_account import has_moved, list_account
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.transaction import Transaction
from busyd.sync.calendar_sync import TakenLook, ask_for_objects, commit_settlement, read_changes, take_look
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
from busyd.sync.timing import REFUSAL_PAUSE

logger = logging.getLogger(__name__)


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
    written = {number: dict(noted) for number, noted in context.written.items()}
    early = _look_where_written(context, at=at)
    try:
        listing, account = await list_account(context, report)
        context.connection_state.login_accepted = True
        await _take_listing(context, listing, account=account, at=at)
        known, now = known_calendars(context), Now(at, context.clock.monotonic())
        plan = await _read(context, _Listed(listing, early), known=known, now=now, report=report)
    finally:
        for look in early.values():
            look.cancel()
        await asyncio.gather(*early.values(), return_exceptions=True)
        context.forget_written(written)
    await _commit(context, plan, at=at)
    for decision in plan.having(Action.READ_FEED):
        await _read_subscription(context, decision.record, at=at, report=report)
    if plan.ended is not None:
        raise plan.ended
    count = sum(calendar.is_followed for calendar in known)
    report(Progress(context.name, "", "done", count, count))
    return True


class _Listed(Struct, frozen=True):
    """A listing, and the looks that were taken beside it."""

    listing: Listing
    early: Mapping[int, asyncio.Task[TakenLook]]


def _look_where_written(context: PollContext, *, at: Instant) -> dict[int, asyncio.Task[TakenLook]]:
    """Look into the calendars that were written to beside the listing, which can only say that they have changed.

    Whoever has booked waits for this poll.
    """
    written = [context.state.calendars.get(number) for number in context.written]
    return {
        record.id: asyncio.create_task(take_look(context, record, at=at), name=f"look into {record.label}")
        for record in written
        if record is not None and record.complete and record.missing_since is None
    }


async def _read(
    context: PollContext, listed: _Listed, *, known: Sequence[KnownCalendar], now: Now, report: Report
) -> RoundPlan:
    """Send what the plan asks for, one request after the other, until the plan is final."""
    listing, outcomes = listed.listing, list[Outcome]()
    arrived = recent_arrivals(context, now.wall)
    plan = plan_round(listing, known, arrived=arrived, now=now)
    remember_doubts(context, plan)
    while plan.request is not None:
        outcome = await _send(context, plan.request, at=now.wall, report=report, early=listed.early)
        if isinstance(outcome, SyncOutcome):
            remember_arrivals(context, outcome, at=now.wall)
        outcomes.append(outcome)
        earlier, plan = plan, plan_round(listing, known, outcomes=outcomes, arrived=arrived, now=now)
        for failure in plan.failed_since(earlier):
            _note_failure(context, failure, report=report)
    logger.debug("%s: this round is decided\n%s", context.name, plan)
    return plan


async def _send(
    context: PollContext,
    request: Request,
    *,
    at: Instant,
    report: Report,
    early: Mapping[int, asyncio.Task[TakenLook]],
) -> Outcome:
    match request:
        case ReadCalendar(record):
            return await _read_calendar(context, record, at=at, report=report, early=early.get(record.id))
        case AskWhetherGone(record):
            return await ask_whether_gone(context, record)
        case AskForObjects(record, question):
            return await _ask_for_objects(context, record, question=question)


async def _read_calendar(
    context: PollContext,
    record: CalendarRecord,
    *,
    at: Instant,
    report: Report,
    early: asyncio.Task[TakenLook] | None,
) -> SyncOutcome | ReadFailed:
    try:
        try:
            taken = await early if early is not None else None
            return await read_changes(context, record, at=at, report=report, early=taken)
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


async def _take_listing(context: PollContext, listing: Listing, *, account: AccountRecord | None, at: Instant) -> None:
    """Commit an account together with its first listing: one without the other would look like no calendars at all."""
    is_reduced = context.connection_state.connection.privacy is Privacy.BUSY
    taken = keep_counting(listing, [calendar.record for calendar in known_calendars(context)])

    def commit(tx: Transaction) -> None:
        before = tx.read_account(context.name)
        if account is not None:
            if is_reduced and before is not None and set(before.addresses) != set(account.addresses):
                tx.forget_account(context.name)  # the answers of other addresses were not stored
            tx.record_account(account)
        tx.record_partial(context.name, listing.partial)
        tx.record_listing(context.name, taken.calendars, at=at, unreadable=taken.unreadable)
        if account is not None and before is not None and has_moved(before, account):
            # What the old home says any longer, even that all is there, is nothing.
            for record in tx.read_calendars(context.name):
                if record.missing_since is not None:
                    tx.record_gone(record.id)

    await context.store.transaction(commit)
    connection_state = context.connection_state
    if account is not None:
        connection_state.addresses = account.addresses
    connection_state.reminders = listing.reminders
    if listing.partial and not connection_state.partial:
        logger.warning("%s: %s; what is not listed counts as not known", context.name, listing.partial)
    is_other = listing.partial != connection_state.partial
    connection_state.partial = listing.partial
    await refresh_state(context, relink=not connection_state.listed or is_other)


async def _confirm(context: PollContext, records: Sequence[CalendarRecord], *, at: Instant) -> None:
    """The listing has just proved that these calendars are as the mirror has them."""
    for record in records:
        remember_recovery(context, record)
    if records:
        await context.store.confirm_calendars([record.id for record in records], at)
    fresh = await context.store.read_calendars(context.name)
    await context.writer.publisher.confirm(fresh)
