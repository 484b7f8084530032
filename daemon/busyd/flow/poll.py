"""The poll: list the calendars of a connection, have `sync/round.py` decide, read, decide again, commit, publish.

Read it from the top down; nothing is decided here. An idle poll of an account is one request; a changed event costs two
more, and one at the next poll. Whatever goes wrong leaves the mirror as it was, lets the proof of the calendar age, and
is shown by status and the log with its reason.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from msgspec import Struct

from busyd.connection import FEEDS, ConnectionKind, Privacy
from busyd.dav.errors import LoginRefused
from busyd.dav.operation import Listing
from busyd.errors import BusydError, DataError, RemoteError
from busyd.flow.list_account import has_moved, list_account
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.store.mirror import AccountRecord, CalendarRecord
from busyd.store.transaction import Transaction
from busyd.sync.calendar_sync import (
    TakenLook,
    ask_for_objects,
    commit_additions,
    commit_settlement,
    read_changes,
    take_look,
)
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
from busyd.sync.due import is_look_due
from busyd.sync.feed_sync import poll_feed, read_subscription
from busyd.sync.outcome import SyncOutcome
from busyd.sync.removals import ask_whether_gone, commit_removal, commit_stop_counting
from busyd.sync.round import feed_failed, keep_counting, plan_round
from busyd.sync.round_facts import KnownCalendar, Now, ObjectsAsked, Outcome, ReadFailed
from busyd.sync.timing import REFUSAL_PAUSE

logger = logging.getLogger(__name__)


class _Round(Struct, frozen=True):
    """What belongs to one poll."""

    now: Now
    report: Report
    is_awaited: bool
    """Somebody waits to book: what proves nothing is left to the next poll, and nothing waits that need not."""
    early: Mapping[int, asyncio.Task[TakenLook]]
    """Looks that are taken beside the listing."""


async def poll_connection(context: PollContext, report: Report, *, is_awaited: bool = False) -> bool:
    """Bring every linked calendar of a connection up to date. Raises RemoteError when the connection as a whole fails.

    A fault of one calendar is noted with it and does not keep the others from being read. False when there was nothing
    to ask. `is_awaited`: somebody waits to book.
    """
    at = context.clock.now()
    if context.connection_state.connection.kind is ConnectionKind.ICS:
        asked = await poll_feed(context, at)
        report(Progress(context.name, "", "done"))
        return asked
    written = {number: dict(noted) for number, noted in context.written.items()}
    early = _look_early(context, at=at, is_awaited=is_awaited)
    try:
        listing, account = await list_account(context, report, is_awaited=is_awaited)
        context.connection_state.login_accepted = True
        await _take_listing(context, listing, account=account, at=at)
        known = known_calendars(context, is_awaited=is_awaited, looked_into=early)
        this = _Round(Now(at, context.clock.monotonic()), report, is_awaited, early)
        plan = await _read(context, listing, known=known, this=this)
    finally:
        for look in early.values():
            look.cancel()
        if early:
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


def _look_early(context: PollContext, *, at: Instant, is_awaited: bool) -> dict[int, asyncio.Task[TakenLook]]:
    """Look beside the listing into calendars that are looked into whatever it says.

    Of those that were written to it can only say that they have changed. Whoever has booked waits for that, and whoever
    is about to book for the second looks that are due.
    """
    state, now = context.state, context.clock.monotonic()
    wanted = [state.calendars.get(number) for number in context.written]
    if is_awaited:
        linked = state.linked_calendars(context.name)
        wanted += [one for one in linked if is_look_due(one, at) and context.backoff.not_before(one.id) <= now]
    return {
        record.id: asyncio.create_task(
            take_look(context, record, at=at, is_awaited=is_awaited), name=f"look into {record.label}"
        )
        for record in {record.id: record for record in wanted if record is not None}.values()
        if record.complete and record.missing_since is None and not (record.gone or record.remote.kind in FEEDS)
    }


async def _read(context: PollContext, listing: Listing, *, known: Sequence[KnownCalendar], this: _Round) -> RoundPlan:
    """Send what the plan asks for, one request after the other, until the plan is final."""
    outcomes, now = list[Outcome](), this.now
    arrived = recent_arrivals(context, now.wall)
    plan = plan_round(listing, known, arrived=arrived, now=now)
    remember_doubts(context, plan)
    while plan.request is not None:
        outcome = await _send(context, plan.request, this=this)
        if isinstance(outcome, SyncOutcome):
            remember_arrivals(context, outcome, at=now.wall)
        outcomes.append(outcome)
        earlier, plan = plan, plan_round(listing, known, outcomes=outcomes, arrived=arrived, now=now)
        for failure in plan.failed_since(earlier):
            _note_failure(context, failure, report=this.report)
    logger.debug("%s: this round is decided\n%s", context.name, plan)
    return plan


async def _send(context: PollContext, request: Request, *, this: _Round) -> Outcome:
    match request:
        case ReadCalendar(record):
            return await _read_calendar(context, record, this=this)
        case AskWhetherGone(record):
            return await ask_whether_gone(context, record)
        case AskForObjects(record, question):
            return await _ask_for_objects(context, record, question=question)


async def _read_calendar(context: PollContext, record: CalendarRecord, *, this: _Round) -> SyncOutcome | ReadFailed:
    early, at, report = this.early.get(record.id), this.now.wall, this.report
    try:
        try:
            taken = await early if early is not None else None
            return await read_changes(context, record, at=at, report=report, early=taken, is_awaited=this.is_awaited)
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
    await _commit_parts(context, plan)
    for decision in plan.left_alone:
        leave_alone(context, decision)
    remember_doubts(context, plan)
    forget_denials(context, plan)
    forget_trouble(context, plan)
    await _confirm(context, [decision.record for decision in plan.confirm], at=at)
    if (asked := context.connection_state.asked) is not None:
        proved = (*plan.confirm, *filter(is_proof, plan.having(Action.SETTLE)))
        context.connection_state.proved |= {decision.record.id: asked.monotonic for decision in proved}
        context.connection_state.proved_last = tuple([decision.record.id for decision in proved])


async def _commit_parts(context: PollContext, plan: RoundPlan) -> None:
    for decision in plan.add_first:
        await commit_additions(context, decision)
    for decision in plan.settle:
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
    connection_state = context.connection_state
    known = context.state.calendars_of(context.name)
    taken = keep_counting(listing, known)
    is_other = listing.partial != connection_state.partial
    if account is None and not is_other and connection_state.listed and _is_known(taken, known):
        connection_state.reminders = listing.reminders
        await refresh_state(context, known)
        return
    is_reduced = connection_state.connection.privacy is Privacy.BUSY

    def commit(tx: Transaction) -> list[CalendarRecord]:
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
        return tx.read_calendars(context.name)

    records = await context.store.transaction(commit)
    if account is not None:
        connection_state.addresses = account.addresses
    connection_state.reminders = listing.reminders
    if listing.partial and not connection_state.partial:
        logger.warning("%s: %s; what is not listed counts as not known", context.name, listing.partial)
    connection_state.partial = listing.partial
    await refresh_state(context, records, relink=not connection_state.listed or is_other)


def _is_known(listing: Listing, known: Sequence[CalendarRecord]) -> bool:
    """Whether a listing says nothing of calendars but what is known already."""
    present = {record.remote.href: record.remote for record in known if record.missing_since is None}
    return not listing.unreadable and {remote.href: remote for remote in listing.calendars} == present


async def _confirm(context: PollContext, records: Sequence[CalendarRecord], *, at: Instant) -> None:
    """Show what was settled, and that these calendars are as the mirror has them, as the listing has just proved."""
    for record in records:
        remember_recovery(context, record)

    def confirm(tx: Transaction) -> list[CalendarRecord]:
        tx.confirm_calendars([record.id for record in records], at)
        return tx.read_calendars(context.name)

    await refresh_state(context, await context.store.transaction(confirm))
