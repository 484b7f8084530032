"""What a poll decides about the calendars of a connection: one pure function over values, with a table to print.

`flow/poll.py` lists the calendars and calls `plan_round`; as long as the plan has a `request`, it sends that and plans
anew with what came of it; then it commits what the last plan says. Nothing is decided elsewhere. What happens when...

* a listed event answers 404 to a multiget: it is asked for by a GET of its own. When that says 404, too, it is unread:
  its time is unknown, or as it was, and it is asked again until a listing lacks it (`doubts.py`);
* an event is gone: it is asked itself. When it says 404, its time is kept MOVING seconds, unless its UID has turned up
  in another calendar, or there is none; and for as long as the listing has no calendar at all (`settlement.py`);
* many events are gone at once: a sample of them is asked first, and each of the others by and by (`doubts.py`);
* an event is handed out as another version than listed: both block until they agree (`doubts.py`);
* a calendar is missing from the listing: it is asked itself. Two answers of 404 or 403, GONE_AGAIN seconds apart, make
  it gone; until then its time stays, and longer while another one may hide what has moved out of it (`_concluded`);
* a calendar that is listed answers 404: that is a failure like any other, its time stays (`_after_failure`);
* a calendar is listed as one that does not count: it counts for HOLD seconds more, and longer while another one may
  hide what has moved out of it (`_about_ceasing`).

Why is told by one word, see `reasons.py`. For how long: `timing.py`. Which calendars are read at all: `due.py`.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Final

from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar, calendars_by_default
from busyd.dav.errors import Forbidden, NotFound, TooManyRequests
from busyd.dav.operation import Listing
from busyd.errors import BusydError
from busyd.period import Instant
from busyd.remote.backoff import parse_retry_after
from busyd.store.mirror import CalendarRecord
from busyd.sync.decision import Action, AskForObjects, AskWhetherGone, Decision, ReadCalendar, Request, RoundPlan
from busyd.sync.doubts import Doubts, Question, is_listing_false, next_question
from busyd.sync.due import why_read, why_read_feed
from busyd.sync.reasons import Reason
from busyd.sync.round_facts import WHOLE_CONNECTION, KnownCalendar, Now, Outcome, RoundFacts
from busyd.sync.settlement import Elsewhere, doubts_after, may_release, settle_calendar
from busyd.sync.timing import CALENDAR_RETRY, GONE_AGAIN, HOLD, MISSING_AGAIN, MOVING_UNSEEN, SUBSCRIPTION_RETRY

_NOWHERE: Final[Mapping[str, frozenset[int]]] = {}


def plan_round(
    listing: Listing,
    known: Sequence[KnownCalendar],
    *,
    outcomes: Sequence[Outcome] = (),
    arrived: Mapping[str, frozenset[int]] = _NOWHERE,
    now: Now,
) -> RoundPlan:
    """Decide about every calendar, given a complete listing, what is known, and what the round's requests brought.

    `known` is what there is once the listing was taken; `arrived`: in which calendars a UID has lately turned up.
    Each request of a plan needs an outcome before the next plan.
    """
    this = RoundFacts.of(listing, known, outcomes=outcomes, arrived=arrived, now=now)
    collections = sorted(filter(_is_collection, known), key=lambda calendar: calendar.has_trouble)
    looks = [_about_collection(calendar, this) for calendar in collections]
    looks += [_about_hidden(calendar, this) for calendar in known if _is_hidden(calendar)]
    others = [_about_other(calendar, now) for calendar in known if not _is_looked_at(calendar)]
    ceasing = ceasing_calendars(listing, [calendar.record for calendar in known])
    for look in looks:
        if (request := _request(look, this)) is not None:
            return RoundPlan((*looks, *others), request, ceasing, this.ended)
    unread = {look.record.id for look in looks if _may_hide_news(look, this)}
    concluded = [_concluded(look, unread, this=this) for look in looks]
    moving = {look.record.id for look in concluded if look.settlement.kept or look.record.doubts}
    for calendar in known:
        if calendar.record.id in ceasing:
            may_lose = bool(unread - {calendar.record.id}) or calendar.record.id in moving
            concluded.append(_about_ceasing(calendar, this, may_lose=may_lose))
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
    reason = why_read(record, this.now.wall, is_awaited=calendar.is_awaited)
    if reason is None and calendar.is_looked_into:
        reason = Reason.WRITTEN
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
    """What follows when a calendar could not be read. A 404 is no proof while the calendar is listed."""
    record = calendar.record
    if isinstance(error, NotFound | Forbidden) and record.missing_since is not None:
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
    if record.id not in this.is_gone:
        return Decision(record, Action.ASK, Reason.MISSING)
    if this.is_gone[record.id]:
        return Decision(record, Action.HOLD, Reason.NOT_ALL_READ)
    return Decision(record, Action.LEAVE_UNREAD, Reason.STILL_THERE, retry=MISSING_AGAIN)


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


# What is asked next, and what is done once everything was looked at.


def _request(look: Decision, this: RoundFacts) -> Request | None:
    if look.action is Action.READ:
        return ReadCalendar(look.record)
    if look.action is Action.ASK:
        return AskWhetherGone(look.record)
    question = _question(look, this)
    return AskForObjects(look.record, question) if question is not None else None


def _question(look: Decision, this: RoundFacts) -> Question | None:
    """Which objects of a calendar are asked for singly, because it contradicts itself about them."""
    record = look.record
    outcome = this.read.get(record.id)
    if this.ended is not None or (outcome is None and not (look.action is Action.CONFIRM and record.doubts)):
        return None
    return next_question(_doubts(record, this), this.answers.get(record.id, ()), at=this.now.wall)


def _concluded(look: Decision, unread: Set[int], *, this: RoundFacts) -> Decision:
    """What is done about a calendar that was looked at, now that all are."""
    record = look.record
    if record.id in this.read or (look.action is Action.CONFIRM and record.doubts):
        return _settled(look, unread, this=this)
    if not this.is_gone.get(record.id):
        return look
    since = this.known[record.id].said_gone_since
    wait = MOVING_UNSEEN if unread - {record.id} else GONE_AGAIN
    if since is not None and since <= this.now.wall - wait:
        return Decision(record, Action.REMOVE, Reason.SAID_GONE_TWICE)
    since = this.now.wall if since is None else min(since, this.now.wall)
    return Decision(record, Action.HOLD, Reason.SAID_GONE, since=since, retry=GONE_AGAIN)


def _settled(look: Decision, unread: Set[int], *, this: RoundFacts) -> Decision:
    """A calendar that was read, or in which something was in doubt before."""
    record, at = look.record, this.now.wall
    outcome, answers = this.read.get(record.id), this.answers.get(record.id, ())
    elsewhere = _elsewhere(record, unread, this=this)
    if outcome is None and not answers and not may_release(record, elsewhere=elsewhere, at=at):
        return Decision(record, Action.LEAVE_UNREAD, Reason.HANDED_OUT) if is_listing_false(record.doubts) else look
    settlement = settle_calendar(record, outcome, answers=answers, elsewhere=elsewhere, at=at)
    return Decision(record, Action.SETTLE, settlement.reason, settlement)


def _may_hide_news(look: Decision, this: RoundFacts) -> bool:
    """Whether a calendar may have what nobody has seen: changed and unread, listed in part, or listed falsely."""
    record = look.record
    outcome = this.read.get(record.id)
    if (outcome is not None and outcome.look.truncated) or is_listing_false(_doubts(record, this)):
        return True
    return look.action is Action.LEAVE_UNREAD and record.missing_since is None


def _doubts(record: CalendarRecord, this: RoundFacts) -> Doubts:
    answers = this.answers.get(record.id, ())
    return doubts_after(record, this.read.get(record.id), answers=answers, at=this.now.wall)


def _elsewhere(record: CalendarRecord, unread: Set[int], *, this: RoundFacts) -> Elsewhere:
    listed = {remote.href for remote in this.listing.calendars if remote.kind is not CalendarKind.SUBSCRIBED}
    hidden = {
        calendar.record.remote.href
        for calendar in this.known.values()
        if calendar.record.missing_since is not None and not calendar.record.gone
    }
    others = (listed | hidden | set(this.listing.unreadable)) - {record.remote.href}
    arrived = frozenset(uid for uid, calendars in this.arrived.items() if calendars - {record.id})
    is_unlisted = not listed and record.missing_since is not None and record.id in this.read
    return Elsewhere(not others, arrived, bool(unread - {record.id}), is_unlisted)


def _about_ceasing(calendar: KnownCalendar, this: RoundFacts, *, may_lose: bool) -> Decision:
    """Whether a calendar is believed not to count any more.

    `may_lose`: what it had may be in another calendar that could not be read, or be on its way to one.
    """
    record, at = calendar.record, this.now.wall
    since = at if calendar.ceasing_since is None else min(calendar.ceasing_since, at)
    remote = next(remote for remote in this.listing.calendars if remote.href == record.remote.href)
    if since <= at - (MOVING_UNSEEN if may_lose else HOLD):
        return Decision(record, Action.STOP_COUNTING, Reason.NOT_COUNTING, remote=remote)
    return Decision(record, Action.KEEP_COUNTING, Reason.NOT_COUNTING, since=since)


def _counts(remote: RemoteCalendar) -> bool:
    return bool(calendars_by_default([remote], primary=None))
