"""The first request of a poll: the calendars of an account, which must be discovered first, now and then."""

import contextlib
import logging
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from busyd.clock import Now
from busyd.connection import RemoteCalendar
from busyd.dav.errors import DavError, Forbidden, NotFound
from busyd.dav.operation import Href, Listing, discover_account, list_calendars, list_homes, normalise_href
from busyd.progress import Progress, Report
from busyd.store.mirror import AccountRecord
from busyd.sync.context import PollContext, known_calendars
from busyd.sync.timing import REDISCOVER_EVERY, has_passed

logger = logging.getLogger(__name__)

_MOST_ASKED: Final = 50
"""Calendars that a truncated listing does not show and that are asked for, in one poll."""


async def list_account(
    context: PollContext, report: Report, *, is_awaited: bool = False
) -> tuple[Listing, AccountRecord | None]:
    """The calendars behind the connection: one request a home, unless the account must be discovered first (then with
    it). `is_awaited`: somebody waits, and a discovery that has just become due is left to another poll.
    """
    connection, at = context.connection_state.connection, context.clock.now()
    account = await context.store.read_account(connection.name)
    # Only now: where there is much to do, the store keeps a poll waiting before it asks.
    context.connection_state.asked = Now(context.clock.now(), context.clock.monotonic())
    login = (connection.url, connection.username)
    known = account if account is not None and (account.root, account.username) == login else None
    is_lost = False
    discover_every = 2 * REDISCOVER_EVERY if is_awaited else REDISCOVER_EVERY
    if known is not None and not has_passed(known.discovered, discover_every, at=at):
        try:
            return await _list_homes(context, known.homes, single=known.single), None
        except (NotFound, Forbidden):
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
    if is_lost and known is not None and known.homes != discovered.homes:
        logger.info("%s: its calendar home has moved", connection.name)
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
    listing = await context.client.run(list_homes(homes, single=single, memory=context.listings))
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


def has_moved(before: AccountRecord, after: AccountRecord) -> bool:
    """Whether none of an account's homes is one any more. Another host alone is none: iCloud's shards come and go."""
    old, new = ({normalise_href(home, collection=True) for home in account.homes} for account in (before, after))
    return not before.single and not after.single and old.isdisjoint(new)
