"""What left: events, whole calendars, calendars that no longer count. They may have moved, so nothing is lost at once.

Not how a calendar is read; only when what the reading found gone may be believed.
"""

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from busyd.connection import CalendarKind, RemoteCalendar, calendars_by_default
from busyd.dav.errors import Forbidden, NotFound
from busyd.dav.operation import Listing, list_calendars, list_members
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord
from busyd.sync.calendar_sync import SyncOutcome, is_look_due
from busyd.sync.context import PollContext, refresh_state
from busyd.sync.timing import GONE_AFTER, GONE_RETRY, HOLD, UNTIL_READ, has_passed

logger = logging.getLogger(__name__)


def ceasing_calendars(context: PollContext, listing: Listing) -> list[CalendarRecord]:
    """Calendars that counted by default and, by this listing, no longer do: marked transparent, or a subscription."""
    known = {record.remote.href: record for record in context.state.calendars.values()
             if record.connection == context.name}  # fmt: skip
    found = [
        known[remote.href]
        for remote in listing.calendars
        if remote.href in known and _counts(known[remote.href].remote) and not _counts(remote)
    ]
    for number in context.ceasing.keys() - {record.id for record in found}:
        del context.ceasing[number]
    return found


def still_counting(listing: Listing, ceasing: Sequence[CalendarRecord]) -> Listing:
    """The listing with these calendars as they were: their time stays blocked until all others were read."""
    old = {record.remote.href: record.remote for record in ceasing}
    shown = (
        replace(remote, transparent=old[remote.href].transparent, kind=old[remote.href].kind)
        if remote.href in old
        else remote
        for remote in listing.calendars
    )
    return replace(listing, calendars=tuple(shown))


async def stop_counting(context: PollContext, record: CalendarRecord, at: Instant, *, grace_period: int) -> None:
    """Take a calendar for one that no longer counts, once it is certain where its events are, and it still is one."""
    if at - context.ceasing.setdefault(record.id, at) < grace_period:
        return
    listing = await _listed_now(context)
    now = {remote.href: remote for remote in listing.calendars} if listing is not None else {}
    remote = now.get(record.remote.href)
    if remote is None or _counts(remote):
        return
    del context.ceasing[record.id]
    await context.store.record_listed(context.name, remote)
    await refresh_state(context)


def hidden_calendars(context: PollContext, linked: Sequence[CalendarRecord]) -> list[CalendarRecord]:
    """Calendars that do not count and are missing from the listings: whether they still do not count is not known."""
    numbers = {record.id for record in linked}
    return [
        record
        for record in context.state.calendars.values()
        if record.connection == context.name
        and record.id not in numbers
        and record.missing_since is not None
        and not record.gone
    ]


async def is_gone(context: PollContext, record: CalendarRecord, at: Instant) -> bool:
    """A calendar that no listing has had for a while, and that answers itself that it is not (any more)."""
    if record.missing_since is None or not has_passed(record.missing_since, GONE_AFTER, at):
        return False
    try:
        await context.client.run(list_members(record.remote.href))
    except (NotFound, Forbidden):
        return True
    except RemoteError:
        return False
    return False


async def confirm_removal(context: PollContext, record: CalendarRecord, at: Instant, *, grace_period: int) -> bool:
    """Believe that a calendar is gone, once it has said so for as long as there is doubt where its events are."""
    since = context.found_gone.setdefault(record.id, at)
    if at - since < grace_period:
        context.backoff.failed(record.id, context.clock.monotonic(), first=GONE_RETRY)
        return False
    logger.info("%s is gone from its server", record.label)
    await context.store.record_gone(record.id)
    await refresh_state(context)
    return True


async def grace_periods(
    context: PollContext,
    outcomes: Sequence[SyncOutcome],
    gone: Sequence[CalendarRecord],
    unread: Sequence[CalendarRecord],
    at: Instant,
) -> Callable[[CalendarRecord], int]:
    """For each calendar: how long what left it must have been gone before it is forgotten, in seconds.

    It may have moved. So every other calendar must be known to be as mirrored, by a listing younger than the removal.
    """
    if unread:
        return lambda _: UNTIL_READ
    restless = {outcome.record.id for outcome in outcomes if outcome.changed}
    restless |= {
        record.id
        for record in context.state.linked_calendars(context.name)
        if record.look_again is not None and not record.gone and not is_look_due(record, at)
    }
    leaving = [outcome.record.id for outcome in outcomes if outcome.removes] + [record.id for record in gone]
    if any(restless <= {number} for number in leaving) and await _has_moved_on(context, restless):
        return lambda _: HOLD
    return lambda record: 0 if restless <= {record.id} else HOLD


async def _has_moved_on(context: PollContext, restless: set[int]) -> bool:
    """Whether a listing taken now shows other calendars changed, or new ones."""
    known = {record.remote.href: record for record in context.state.calendars.values()
             if record.connection == context.name and not record.gone}  # fmt: skip
    listing = await _listed_now(context)
    if listing is None:
        return True
    now = {remote.href: remote for remote in listing.calendars}
    quiet = {href: record for href, record in known.items() if record.id not in restless}
    if now.keys() - known.keys() or any(
        href in now for href, record in quiet.items() if record.missing_since is not None
    ):
        return True
    return any(
        href not in now or _state_of(now[href]) is None or _state_of(now[href]) != _state_of(record.remote)
        for href, record in quiet.items()
        if record.missing_since is None and record.remote.kind is not CalendarKind.SUBSCRIBED
    )


async def _listed_now(context: PollContext) -> Listing | None:
    """The calendars as they are listed at this moment; None when that cannot be had."""
    account = await context.store.read_account(context.name)
    if account is None:
        return None
    try:
        return await context.client.run(list_calendars(account.home, single=account.single))
    except RemoteError:
        return None


def _state_of(remote: RemoteCalendar) -> str | None:
    """What moves when something in the calendar changes; None where the server does not say."""
    return remote.ctag or remote.sync_token


def _counts(remote: RemoteCalendar) -> bool:
    return bool(calendars_by_default([remote], primary=None))
