"""What a poll decides about the calendars of a connection: one pure function over values, with a table to print.

`flow/poll.py` lists the calendars and calls `plan_round`; as long as the plan has a `request`, it sends that and plans
anew with what came of it; then it commits what the last plan says. Nothing is decided elsewhere. What happens when...

* a listed event answers 404 to a multiget: `fetch.py` asks for it by a GET of its own; when that says 404, too, the
  event is `vanished` in the calendar's SyncOutcome, and is as good as missing from the listing;
* an event is gone: it is forgotten at once when no other calendar has changed, else HOLD seconds later, and not as
  long as another calendar cannot be read: it may have moved there (`doubts.py`);
* many events are gone at once: they stay for HOLD seconds at least (`settlement.py`, `plan.is_many`);
* a calendar is missing from the listing: its time stays. After GONE_AFTER seconds it is read, or asked itself when no
  profile counts it; only a 404 or 403 of its own makes it gone, and not before the same doubts are over (`_concluded`);
* a calendar that is listed answers 404: that is a failure like any other, its time stays (`_after_failure`);
* a calendar is listed as one that does not count: it counts until the same doubts are over (`_about_ceasing`).

Why is told by one word, see `reasons.py`. For how long: `timing.py`. Which calendars are read at all: `due.py`.
"""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar, calendars_by_default
from busyd.dav.errors import Forbidden, NotFound, TooManyRequests
from busyd.dav.operation import Listing
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.remote.backoff import parse_retry_after
from busyd.store.mirror import CalendarRecord
from busyd.sync.decision import Action, AskWhetherGone, Decision, ListAgain, ReadCalendar, RoundPlan
from busyd.sync.doubts import Doubts, ceasing_since, find_doubts, is_ceasing_over
from busyd.sync.due import is_long_missing, why_read, why_read_feed
from busyd.sync.reasons import Reason
from busyd.sync.round_facts import WHOLE_CONNECTION, KnownCalendar, Now, Outcome, RoundFacts
from busyd.sync.settlement import Doubt, settle_calendar
from busyd.sync.timing import CALENDAR_RETRY, GONE_AFTER, GONE_RETRY, SUBSCRIPTION_RETRY


def plan_round(
    listing: Listing, known: Sequence[KnownCalendar], *, outcomes: Sequence[Outcome] = (), now: Now
) -> RoundPlan:
    """Decide about every calendar, given a complete listing, what is known, and what the round's requests brought.

    `known` is what there is once the listing was taken. Each request of a plan needs an outcome before the next plan.
    """
    this = RoundFacts.of(listing, known, outcomes=outcomes, now=now)
    collections = sorted(filter(_is_collection, known), key=lambda calendar: calendar.has_trouble)
    looks = [_about_collection(calendar, this) for calendar in collections]
    looks += [_about_hidden(calendar, this) for calendar in known if _is_hidden(calendar)]
    others = [_about_other(calendar, now) for calendar in known if not _is_looked_at(calendar)]
    ceasing = ceasing_calendars(listing, [calendar.record for calendar in known])
    for look in looks:
        if look.action is Action.READ:
            return RoundPlan((*looks, *others), ReadCalendar(look.record), ceasing, this.ended)
        if look.action is Action.ASK:
            return RoundPlan((*looks, *others), AskWhetherGone(look.record), ceasing, this.ended)
    doubts = find_doubts(looks, ceasing, this=this)
    if this.listed_again is None and doubts.need_listing:
        return RoundPlan((*looks, *others), ListAgain(), ceasing, this.ended)
    concluded = [_concluded(look, doubts, this=this) for look in looks]
    concluded += [_about_ceasing(calendar, doubts, this=this) for calendar in known if calendar.record.id in ceasing]
    return RoundPlan((*concluded, *others), None, ceasing, this.ended)


def ceasing_calendars(listing: Listing, records: Iterable[CalendarRecord]) -> frozenset[int]:
    """Calendars that counted by default and, by this listing, no longer do: marked transparent, or a subscription."""
    counting = {record.remote.href: record.id for record in records if _counts(record.remote)}
    return frozenset(
        counting[remote.href] for remote in listing.calendars if remote.href in counting and not _counts(remote)
    )


def keep_counting(listing: Listing, records: Sequence[CalendarRecord]) -> Listing:
    """The listing to store, in which calendars that cease to count are as they were until that is believed."""
    ceasing = ceasing_calendars(listing, records)
    old = {record.remote.href: record.remote for record in records if record.id in ceasing}
    kept = (
        replace(remote, transparent=old[remote.href].transparent, kind=old[remote.href].kind)
        if remote.href in old
        else remote
        for remote in listing.calendars
    )
    return replace(listing, calendars=tuple(kept))


def feed_failed(record: CalendarRecord, error: BusydError, *, at: Instant) -> Decision:
    """What follows when a subscribed calendar could not be read. Its host is not the account's: nothing else does."""
    told = parse_retry_after(error.retry_after, at) if isinstance(error, TooManyRequests) else None
    return Decision(
        record,
        Action.LEAVE_UNREAD,
        Reason.FAILED,
        error=error,
        retry=SUBSCRIPTION_RETRY,
        retry_least=2.0 * (told or 0.0),
    )


# What to do with each calendar, as far as it does not depend on others.


def _is_collection(calendar: KnownCalendar) -> bool:
    """Whether it is one whose objects are read from the connection's own server."""
    return calendar.is_followed and calendar.record.remote.kind is not CalendarKind.SUBSCRIBED


def _is_hidden(calendar: KnownCalendar) -> bool:
    """Whether it does not count and is missing from the listings, so that it is not known whether it still does not."""
    return not _is_collection(calendar) and calendar.record.missing_since is not None and not calendar.record.gone


def _is_looked_at(calendar: KnownCalendar) -> bool:
    return _is_collection(calendar) or _is_hidden(calendar)


def _about_collection(calendar: KnownCalendar, this: RoundFacts) -> Decision:
    record = calendar.record
    if record.id in this.read:
        return Decision(record, Action.HOLD, Reason.NOT_ALL_READ)
    if record.id in this.failed:
        return _after_failure(calendar, this.failed[record.id], this=this)
    if record.remote.href in this.listing.unreadable:
        return Decision(record, Action.LEAVE_UNREAD, Reason.LISTED_WITH_A_FAULT)
    reason = why_read(record, this.now.wall)
    if reason is None and record.missing_since is not None:
        return Decision(record, Action.LEAVE_UNREAD, Reason.MISSING)
    if reason is None:
        return Decision(record, Action.CONFIRM, Reason.UNCHANGED)
    return _not_now(calendar, this) or Decision(record, Action.READ, reason)


def _not_now(calendar: KnownCalendar, this: RoundFacts) -> Decision | None:
    """Why a calendar is not asked although it should be. One that said it is gone is not in doubt meanwhile."""
    if this.ended is None and this.now.monotonic >= calendar.not_before:
        return None
    if calendar.said_gone_since is not None:
        return Decision(calendar.record, Action.HOLD, Reason.SAID_GONE)
    reason = Reason.BACKING_OFF if this.ended is None else Reason.CONNECTION_FAILED
    return Decision(calendar.record, Action.LEAVE_UNREAD, reason)


def _after_failure(calendar: KnownCalendar, error: BusydError, *, this: RoundFacts) -> Decision:
    """What follows when a calendar could not be read. A 404 is no proof while the calendar is, or just was, listed."""
    record = calendar.record
    if isinstance(error, NotFound | Forbidden) and is_long_missing(record, this.now.wall):
        if record.id not in this.is_gone:
            return Decision(record, Action.ASK, Reason.ANSWERED_404)
        if this.is_gone[record.id]:
            return Decision(record, Action.HOLD, Reason.NOT_ALL_READ)
    if isinstance(error, WHOLE_CONNECTION):
        return Decision(record, Action.LEAVE_UNREAD, Reason.CONNECTION_FAILED)
    return Decision(record, Action.LEAVE_UNREAD, Reason.FAILED, error=error, retry=CALENDAR_RETRY)


def _about_hidden(calendar: KnownCalendar, this: RoundFacts) -> Decision:
    record = calendar.record
    if (waiting := _not_now(calendar, this)) is not None:
        return waiting
    if not is_long_missing(record, this.now.wall):
        return Decision(record, Action.LEAVE_UNREAD, Reason.MISSING, retry=GONE_AFTER)
    if record.id not in this.is_gone:
        return Decision(record, Action.ASK, Reason.LONG_MISSING)
    if this.is_gone[record.id]:
        return Decision(record, Action.HOLD, Reason.NOT_ALL_READ)
    return Decision(record, Action.LEAVE_UNREAD, Reason.STILL_THERE, retry=GONE_AFTER)


def _about_other(calendar: KnownCalendar, now: Now) -> Decision:
    record = calendar.record
    if record.gone:
        return Decision(record, Action.SKIP, Reason.GONE)
    if not calendar.is_linked:
        return Decision(record, Action.SKIP, Reason.NOT_LINKED)
    if now.monotonic < calendar.not_before:
        return Decision(record, Action.SKIP, Reason.BACKING_OFF)
    reason = why_read_feed(record, calendar.wanted, at=now.wall)
    return (
        Decision(record, Action.SKIP, Reason.NOT_DUE) if reason is None else Decision(record, Action.READ_FEED, reason)
    )


# What is done once everything was looked at.


def _concluded(look: Decision, doubts: Doubts, *, this: RoundFacts) -> Decision:
    """What is done about a calendar that was looked at, now that all are."""
    record, doubt = look.record, doubts.about(look.record)
    outcome = this.read.get(record.id)
    if outcome is not None:
        settlement = settle_calendar(outcome, doubt, at=this.now.wall)
        return Decision(record, Action.SETTLE, settlement.reason, settlement)
    if not this.is_gone.get(record.id):
        return look
    since = this.known[record.id].said_gone_since
    since = this.now.wall if since is None else since
    if this.now.wall - since >= doubt.grace_period:
        return Decision(record, Action.REMOVE, _why_believed(doubt))
    return Decision(record, Action.HOLD, doubt.reason, since=since, retry=GONE_RETRY)


def _about_ceasing(calendar: KnownCalendar, doubts: Doubts, *, this: RoundFacts) -> Decision:
    """Whether a calendar is believed not to count any more: at the end it must still be listed so."""
    record, doubt = calendar.record, doubts.about(calendar.record)
    since = ceasing_since(calendar, this.now)
    if not is_ceasing_over(calendar, doubts, now=this.now):
        return Decision(record, Action.KEEP_COUNTING, doubt.reason, since=since)
    listing = this.listed_again.listing if this.listed_again is not None else None
    if listing is None:
        return Decision(record, Action.KEEP_COUNTING, Reason.NOT_LISTED_AGAIN, since=since)
    remote = {remote.href: remote for remote in listing.calendars}.get(record.remote.href)
    if remote is None or _counts(remote):
        return Decision(record, Action.KEEP_COUNTING, Reason.COUNTS_AGAIN, since=since)
    return Decision(record, Action.STOP_COUNTING, _why_believed(doubt), remote=remote)


def _why_believed(doubt: Doubt) -> Reason:
    return Reason.GRACE_PERIOD_OVER if doubt.grace_period else doubt.reason


def _counts(remote: RemoteCalendar) -> bool:
    return bool(calendars_by_default([remote], primary=None))
