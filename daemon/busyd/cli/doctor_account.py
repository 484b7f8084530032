"""What `busyd doctor` looks at once a login works: the self-test, the primaries, and calendars nobody counts."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from busyd.availability.index import index_object
from busyd.cli.doctor_mirror import MirrorState
from busyd.cli.doctor_report import Finding, Labels, Level
from busyd.cli.exit_status import ExitStatus
from busyd.cli.references import ProfileLink, is_writable, links_of, remembered_links
from busyd.cli.remote_session import Contact
from busyd.cli.self_test import DAY, Result, SelfTest, Steps, choose_calendar, describe_login, events_between
from busyd.cli.self_test_writes import ScratchTest
from busyd.config import Config
from busyd.connection import CalendarKind, ConnectionKind, RemoteCalendar
from busyd.dav.operation import Account, Listing, fetch_objects
from busyd.errors import RemoteError
from busyd.period import Instant, Period
from busyd.state.links import CalendarRole

MANY: Final = 5
"""Events that block time in the next 90 days, from which a calendar nobody counts is worth a warning."""
_AHEAD: Final = 90 * DAY
_LOOKED_AT: Final = 10
"""Calendars of no profile that are looked into, at most."""
_FETCHED: Final = 50


async def examine_account(
    contact: Contact, config: Config, state: Path, labels: Labels, mirror: MirrorState, *, write: bool
) -> AsyncIterator[Finding]:
    """Log in, and try everything; what needs the login is left out when it fails."""
    connection = contact.connection
    steps = Steps(contact, labels, worked_before=mirror.worked_before(connection.name))
    opened: list[tuple[Account, Listing]] = []

    async def log_in() -> Result:
        if connection.kind is ConnectionKind.ICS:
            await contact.list_calendars()
            return Level.OK, "the feed is there and complete"
        opened.append(await contact.log_in())
        return describe_login(*opened[0], contact.observer.skew())

    login = await steps.take("login", log_in, again=False)
    yield login
    if not opened:
        return
    account, listing = opened[0]
    links = links_of(config, {connection.name: listing.calendars}, remembered_links(state))
    for finding in _primaries(links, labels):
        yield finding
    primaries = [one.calendar.href for one in links if one.calendar and one.link.role is CalendarRole.PRIMARY]
    calendar = choose_calendar(listing, primaries)
    if calendar is not None:
        for check, step in SelfTest(contact, account, calendar).steps():
            yield await steps.take(check, step)
    async for finding in _uncounted(steps, listing, links, labels):
        yield finding
    if write and account.is_single:
        message = "the url is that of one calendar: there is no place for a scratch calendar"
        yield Finding(steps.subject, "write", Level.SKIPPED, message)
    elif write:
        async for finding in ScratchTest(steps, account).run():
            yield finding


def _primaries(links: list[ProfileLink], labels: Labels) -> Iterator[Finding]:
    for one in links:
        subject, role = labels.of("profile", one.profile), one.link.role.value
        if one.calendar is None:
            message = f"its {role} calendar is not there" if role == "primary" else "a conflict calendar is not there"
            step = "run `busyd check --online`, which tells the line and what was probably meant"
            told = one.link.trouble if labels.show_names else message
            yield Finding(subject, "reference", Level.FAILED, told, (step,), status=ExitStatus.CONFIG)
        elif one.link.role is CalendarRole.PRIMARY and not is_writable(one.calendar):
            message = f"its primary calendar is read only ({one.calendar.kind})"
            step = "choose a calendar of your own as primary: appointments are written there"
            yield Finding(subject, "primary", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        elif one.link.role is CalendarRole.PRIMARY:
            message = f"its primary calendar can be written to ({one.calendar.kind})"
            yield Finding(subject, "primary", Level.OK, message)


async def _uncounted(
    steps: Steps, listing: Listing, links: list[ProfileLink], labels: Labels
) -> AsyncIterator[Finding]:
    """Calendars that no profile counts though their events look as if they should."""
    counted = {one.calendar.href for one in links if one.calendar is not None and one.link.blocks}
    left = [
        one
        for one in listing.calendars
        if one.href not in counted and not one.transparent and one.kind in (CalendarKind.OWN, CalendarKind.SHARED)
    ]
    for calendar in left[:_LOOKED_AT]:
        yield await steps.take("uncounted", partial(_count, steps.contact, calendar, labels))


async def _count(contact: Contact, calendar: RemoteCalendar, labels: Labels) -> Result:
    label = labels.of("calendar", calendar.name or calendar.id)
    try:
        blocking = await blocking_events(contact, calendar)
    except RemoteError:
        return Level.SKIPPED, f"{label} ({calendar.kind}) counts for no profile, and could not be looked into"
    if blocking < MANY:
        return Level.OK, f"{label} ({calendar.kind}) counts for no profile and has hardly any events ahead"
    return Level.WARNING, (
        f"{label} ({calendar.kind}) counts for no profile, and {blocking} or more of its events block time in the next "
        "90 days: should it be among the conflicts of a profile?"
    )


async def blocking_events(contact: Contact, calendar: RemoteCalendar) -> int:
    """How many events of a calendar block time in the next 90 days; of many, the first fifty are read."""
    now = contact.clock.now()
    window = Period(now, Instant(now + _AHEAD))
    hrefs = await contact.client.run(events_between(calendar.href, window.start, window.end))
    fetched = await contact.client.run(fetch_objects(calendar.href, hrefs[:_FETCHED]))
    return sum(_blocks(one.payload, window) for one in fetched.objects)


def _blocks(payload: bytes, window: Period) -> bool:
    """Whether an event has an occurrence in the window that is neither transparent nor cancelled."""
    found = index_object(payload, window, "UTC")
    return any(
        start < window.end
        and end > window.start
        and found.facts[number].transp != "TRANSPARENT"
        and found.facts[number].status != "CANCELLED"
        for start, end, number in found.rows
    )
