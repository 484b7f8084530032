"""What every way of reading a connection shares: what it reads with, what it remembers, and what is shown after it."""

import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from busyd.advice.errors import describe_error
from busyd.advice.trouble import TRUNCATED_LISTING, describe_false_listing
from busyd.clock import Clock
from busyd.dav.listing import ListingMemory
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.remote.client import CaldavClient
from busyd.remote.feed import FeedAnswer
from busyd.state.connection_state import ConnectionState
from busyd.state.state import State
from busyd.store.errors import StorageError
from busyd.store.ledger_thread import LedgerThread
from busyd.store.mirror import CalendarRecord
from busyd.store.store import Store
from busyd.sync.decision import Action, Decision, RoundPlan
from busyd.sync.outcome import SyncOutcome
from busyd.sync.reasons import Reason
from busyd.sync.refused_sync import RefusedSyncs
from busyd.sync.round_facts import KnownCalendar
from busyd.sync.timing import ARRIVED_LATELY, LONGEST_RETRY, has_passed

logger = logging.getLogger(__name__)

_NOT_ASKED: Final = (Reason.BACKING_OFF, Reason.CONNECTION_FAILED)

ReadFeed = Callable[[str, Mapping[str, str]], Awaitable[FeedAnswer]]
"""(URL, validators of the last answer) -> the feed, or that it has not changed. Raises RemoteError."""


class CalendarBackoff:
    """Which single calendars are left alone for a while because they fail, while the rest of an account is read.

    Monotonic seconds; a restart forgets, and tries once more.
    """

    def __init__(self) -> None:
        self._faults: dict[int, tuple[int, float]] = {}

    def not_before(self, calendar: int) -> float:
        """When the calendar may be asked again; minus infinity when it did not fail lately."""
        return self._faults.get(calendar, (0, float("-inf")))[1]

    def failed(self, calendar: int, now: float, *, first: float, least: float = 0.0) -> None:
        """Note a failure. The wait is `first` seconds the first time, then doubles; never less than `least`."""
        count = self._faults.get(calendar, (0, now))[0]
        wait = min(first * 2.0 ** min(count, 16), LONGEST_RETRY)
        self._faults[calendar] = (count + 1, now + max(wait, least))

    def recovered(self, calendar: int) -> None:
        self._faults.pop(calendar, None)

    def end_all(self) -> None:
        """Somebody waits for everything to be tried now; how often each has failed is not forgotten."""
        self._faults = {calendar: (count, float("-inf")) for calendar, (count, _) in self._faults.items()}


class ConnectionContext(Struct, frozen=True, kw_only=True):
    """What it takes to show how one connection's calendars are now."""

    connection_state: ConnectionState
    writer: IndexWriter
    ledger: LedgerThread

    @property
    def name(self) -> str:
        return self.connection_state.connection.name

    @property
    def store(self) -> Store:
        return self.writer.store

    @property
    def state(self) -> State:
        return self.writer.state


class PollContext(ConnectionContext, frozen=True, kw_only=True):
    """What it takes to poll it."""

    client: CaldavClient
    read_feed: ReadFeed
    clock: Clock
    backoff: CalendarBackoff = field(default_factory=CalendarBackoff)
    refused_syncs: RefusedSyncs = field(default_factory=RefusedSyncs)
    said_gone: dict[int, Instant] = field(default_factory=dict)
    """Calendar -> when it first said itself that it is not there, for those not yet believed to be gone."""
    ceasing: dict[int, Instant] = field(default_factory=dict)
    """Calendar -> when it was first listed as one that no longer counts, for those that still do."""
    cut_feeds: dict[int, Instant] = field(default_factory=dict)
    """Feed -> since when it lacks the end that it used to have."""
    arrivals: dict[str, dict[int, Instant]] = field(default_factory=dict)
    """UID -> calendars in which it has turned up, and when; a restart forgets, and waits a little longer."""

    listings: ListingMemory = field(default_factory=ListingMemory)
    """Of the homes of the account."""

    written: dict[int, dict[str, str]] = field(default_factory=dict)
    """Calendar -> href -> ETag of what was written just now, and which the mirror has already."""

    def note_write(self, calendar: int, href: str, *, etag: str) -> None:
        """What was written just now is in the mirror: the next poll need not fetch it, and looks into its calendar."""
        self.written.setdefault(calendar, {})[href] = etag

    def forget_written(self, written: Mapping[int, Mapping[str, str]]) -> None:
        """A poll is over that knew of these writes."""
        for calendar, noted in written.items():
            left = {href: etag for href, etag in self.written.get(calendar, {}).items() if noted.get(href) != etag}
            if left:
                self.written[calendar] = left
            else:
                self.written.pop(calendar, None)

    def without_written(
        self, calendar: int, hrefs: Iterable[str], *, mirrored: Mapping[str, str], listed: Mapping[str, str]
    ) -> tuple[str, ...]:
        """The hrefs without those that are listed as they were written: the answer to the PUT has just said so.

        Only while the mirror has them so. `mirrored`, `listed`: href -> ETag.
        """
        written = self.written.get(calendar, {})
        return tuple(
            href for href in hrefs if href not in written or not written[href] == mirrored.get(href) == listed.get(href)
        )

    def as_stored(self, payload: bytes) -> bytes:
        """What the mirror has of an object that came like this."""
        return self.writer.as_stored(self.name, payload)


def known_calendars(
    context: PollContext, *, is_awaited: bool = False, looked_into: Collection[int] = ()
) -> list[KnownCalendar]:
    """What a round is planned from, of every calendar of the connection."""
    state, connection_state = context.state, context.connection_state
    linked = {record.id for record in state.linked_calendars(context.name)}
    return [
        KnownCalendar(
            record,
            is_linked=record.id in linked,
            has_trouble=record.id in connection_state.calendar_trouble,
            not_before=context.backoff.not_before(record.id),
            said_gone_since=context.said_gone.get(record.id),
            ceasing_since=context.ceasing.get(record.id),
            wanted=connection_state.wanted,
            is_awaited=is_awaited,
            is_looked_into=record.id in looked_into,
        )
        for record in state.calendars_of(context.name)
    ]


def remember_failure(context: PollContext, decision: Decision) -> None:
    """Leave a calendar alone for a while, and tell why where a person sees it."""
    leave_alone(context, decision)
    trouble = describe_error(decision.error) if decision.error is not None else ""
    logger.warning("%s could not be read: %s", decision.record.label, trouble)
    context.connection_state.calendar_trouble[decision.record.id] = trouble
    context.state.publish(connections=(context.name,))


def remember_false_listing(context: PollContext, decision: Decision) -> None:
    """A calendar was read, but not all of it is known: say so where a person sees it. Its proof grows old meanwhile."""
    record, kept = decision.record, len(decision.settlement.kept)
    trouble = describe_false_listing(kept) if decision.reason is Reason.HANDED_OUT else TRUNCATED_LISTING
    if context.connection_state.calendar_trouble.get(record.id) != trouble:
        logger.warning("%s: %s", record.label, trouble)
    context.connection_state.calendar_trouble[record.id] = trouble
    context.state.publish()


def leave_alone(context: PollContext, decision: Decision) -> None:
    """Do not ask a calendar again before a while has passed, longer each time."""
    now, first = context.clock.monotonic(), decision.retry or 0.0
    context.backoff.failed(decision.record.id, now, first=first, least=decision.retry_least)


def remember_doubts(context: PollContext, plan: RoundPlan) -> None:
    """Since when calendars say that they are gone, or are listed as ones that do not count; no longer than they are."""
    for number in context.ceasing.keys() - plan.ceasing:
        del context.ceasing[number]
    for doubted, action in ((context.ceasing, Action.KEEP_COUNTING), (context.said_gone, Action.HOLD)):
        decisions = plan.having(action)
        doubted.update({decision.record.id: decision.since for decision in decisions if decision.since is not None})


def forget_denials(context: PollContext, plan: RoundPlan) -> None:
    """At the end of a round: calendars that have said they are gone, and now say something else, never said so."""
    said = {decision.record.id for decision in plan.decisions if decision.reason in (Reason.SAID_GONE, *_NOT_ASKED)}
    for number in context.said_gone.keys() - said:
        del context.said_gone[number]


def forget_trouble(context: PollContext, plan: RoundPlan) -> None:
    """What was wrong with a calendar that nobody counts any more is of no interest."""
    for decision in plan.having(Action.SKIP):
        if decision.reason in (Reason.NOT_LINKED, Reason.GONE):
            context.connection_state.calendar_trouble.pop(decision.record.id, None)


def remember_arrivals(context: PollContext, outcome: SyncOutcome, *, at: Instant) -> None:
    """Which events have turned up where, for as long as they may be missed elsewhere, and have not left again."""
    for uid in outcome.uids.values():
        context.arrivals.get(uid, {}).pop(outcome.record.id, None)
    for uid in outcome.arrived:
        context.arrivals.setdefault(uid, {})[outcome.record.id] = at


def recent_arrivals(context: PollContext, at: Instant) -> dict[str, frozenset[int]]:
    """UID -> the calendars in which it has turned up lately."""
    for uid, calendars in list(context.arrivals.items()):
        recent = {number: when for number, when in calendars.items() if not has_passed(when, ARRIVED_LATELY, at=at)}
        if recent:
            context.arrivals[uid] = recent
        else:
            del context.arrivals[uid]
    return {uid: frozenset(calendars) for uid, calendars in context.arrivals.items()}


def remember_recovery(context: PollContext, record: CalendarRecord) -> None:
    """A calendar is well again: nothing of earlier trouble counts any more."""
    context.backoff.recovered(record.id)
    context.said_gone.pop(record.id, None)
    context.connection_state.calendar_trouble.pop(record.id, None)


async def refresh_state(
    context: ConnectionContext, records: Sequence[CalendarRecord] | None = None, *, relink: bool = False
) -> None:
    """Show the new state of a connection's calendars to those who ask: snapshots first, then what proves them.

    `records`: all of its calendars, as they were just read from the store.
    """
    state = context.state
    if records is None:
        records = await context.store.read_calendars(context.name)
    before = {record.id: record for record in state.calendars_of(context.name)}
    for record in records:
        if record.complete and record.id in before and not before[record.id].complete:
            logger.info("%s: read completely", record.label)
    is_other = await take_listing(context, records, relink=relink)
    await _remember_links(context)
    # An earlier try may have failed, or was cancelled in the middle.
    if is_other or context.writer.publisher.lacking_tables(state.links.profiles_naming(context.name)):
        await context.writer.complete_tables(context.name)
    await context.writer.publisher.confirm(records)


async def take_listing(context: ConnectionContext, records: Sequence[CalendarRecord], *, relink: bool = False) -> bool:
    """Link the calendars anew if others are there, or they are others by now; whether they were."""
    state = context.state
    shapes = {record.id: _shape(record) for record in records}
    if not relink and shapes == {record.id: _shape(record) for record in state.calendars_of(context.name)}:
        return False
    context.connection_state.listed = True
    await state.take_listing(context.name, records)
    return True


async def _remember_links(context: ConnectionContext) -> None:
    state = context.state
    # Those of all profiles the first time: an older busyd had kept them for all together.
    names = state.links.profiles_naming(context.name) if state.recorded else state.remembered.keys()
    remembered = {name: dict(state.remembered.get(name, {})) for name in names}
    new = {name: meant for name, meant in remembered.items() if state.recorded.get(name) != meant}
    if not new:
        return
    try:
        await context.ledger.record_links(new)
        state.recorded |= new
    except StorageError as error:
        logger.warning("which calendars are meant was not written down, the next poll tries again: %s", error)


def _shape(record: CalendarRecord) -> tuple[object, ...]:
    """What of a calendar decides about links; a moved ctag or proof does not."""
    remote = record.remote
    return (remote.href, remote.name, remote.kind, remote.transparent, remote.timezone, remote.source, remote.writable,
            record.gone, record.missing_since is None)  # fmt: skip
