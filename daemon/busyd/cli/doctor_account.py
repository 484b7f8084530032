"""What `busyd doctor` checks once a login works: the self-test, the primaries, and calendars no profile uses."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Final

from msgspec import Struct

from busyd.cli.counts_for_nobody import count_ahead
from busyd.cli.doctor_mirror import MirrorState
from busyd.cli.doctor_report import Labels, Level, ReportEntry
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.not_handed_out import LOOKED_AT, WHAT_FOLLOWS, count_not_handed_out, sentence_about
from busyd.cli.references import ProfileLink, is_writable, links_of, remembered_links
from busyd.cli.remote_session import RemoteSession
from busyd.cli.scratch_calendar import ScratchCalendar
from busyd.cli.self_test import Result, SelfTest, Steps, choose_calendar, describe_login
from busyd.cli.self_test_writes import WriteTest
from busyd.connection import CalendarKind, ConnectionKind, RemoteCalendar
from busyd.dav.operation import Account, Listing
from busyd.errors import RemoteError
from busyd.ical.zones import UnknownZone
from busyd.service.state_dir import machine_zone
from busyd.state.links import CalendarRole
from busyd.state.uncounted import MANY

_LOOKED_AT: Final = 10
"""At most this many calendars that no profile uses are read."""


class WritingTest(Struct, frozen=True):
    """How writing is to be tried."""

    scratch: str | None
    """The name of the calendar; None: one of its own."""
    may_have_events: bool


async def examine_account(
    session: RemoteSession,
    installation: Installation,
    *,
    labels: Labels,
    mirror: MirrorState,
    writing: WritingTest | None,
) -> AsyncGenerator[ReportEntry, None]:
    """Log in and try everything; without a login there is nothing more to try."""
    connection = session.connection
    steps = Steps(session, labels, worked_before=mirror.worked_before(connection.name))
    opened: list[tuple[Account, Listing]] = []

    async def log_in() -> Result:
        if connection.kind is ConnectionKind.ICS:
            await session.list_calendars()
            return Level.OK, "the feed is available and complete"
        opened.append(await session.log_in())
        return describe_login(*opened[0], skew=session.observer.skew())

    login = await steps.take("login", log_in, again=False)
    yield login
    if not opened:
        return
    account, listing = opened[0]
    remembered = remembered_links(installation)
    links = links_of(installation.config, {connection.name: listing.calendars}, remembered=remembered)
    for entry in _primaries(links, labels):
        yield entry
    primaries = [
        profile_link.calendar.href
        for profile_link in links
        if profile_link.calendar and profile_link.link.role is CalendarRole.PRIMARY
    ]
    calendar = choose_calendar(listing, primaries)
    if calendar is not None:
        for check, step in SelfTest(session, account, calendar=calendar).steps():
            yield await steps.take(check, step)
    linked = {link.calendar.href: link.calendar for link in links if link.calendar is not None}
    for one in [calendar for calendar in linked.values() if calendar.kind in (CalendarKind.OWN, CalendarKind.SHARED)]:
        yield await steps.take("handed-out", partial(_handed_out, session, one, labels=labels))
    async for entry in _uncounted(steps, listing, links=links, labels=labels):
        yield entry
    if writing is not None:
        scratch = ScratchCalendar(session, account, name=writing.scratch, may_have_events=writing.may_have_events)
        async with aclosing(WriteTest(steps, scratch).run(listing, installation=installation)) as entries:
            async for entry in entries:
                yield entry


def _primaries(links: list[ProfileLink], labels: Labels) -> Iterator[ReportEntry]:
    for profile_link in links:
        subject, role = labels.of("profile", profile_link.profile), profile_link.link.role.value
        if profile_link.calendar is None:
            message = (
                "its primary calendar does not exist" if role == "primary" else "a conflict calendar does not exist"
            )
            step = "run `busyd check --online` to see the line, and what was probably meant"
            named = profile_link.link.trouble if labels.show_names else message
            yield ReportEntry(subject, "reference", Level.FAILED, named, (step,), status=ExitStatus.CONFIG)
        elif profile_link.link.role is CalendarRole.PRIMARY and not is_writable(profile_link.calendar):
            message = f"its primary calendar is read-only ({profile_link.calendar.kind})"
            step = "choose a calendar of your own as primary, since appointments are written there"
            yield ReportEntry(subject, "primary", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
        elif profile_link.link.role is CalendarRole.PRIMARY:
            message = f"its primary calendar is writable ({profile_link.calendar.kind})"
            yield ReportEntry(subject, "primary", Level.OK, message)


async def _uncounted(
    steps: Steps, listing: Listing, *, links: list[ProfileLink], labels: Labels
) -> AsyncIterator[ReportEntry]:
    """Calendars that no profile uses, though their events look as if one should."""
    counted = {link.calendar.href for link in links if link.calendar is not None and link.link.blocks}
    left = [
        calendar
        for calendar in listing.calendars
        if calendar.href not in counted
        and not calendar.transparent
        and calendar.kind in (CalendarKind.OWN, CalendarKind.SHARED)
    ]
    for calendar in left[:_LOOKED_AT]:
        yield await steps.take("uncounted", partial(_count, steps.session, calendar, labels=labels))


async def _count(session: RemoteSession, calendar: RemoteCalendar, *, labels: Labels) -> Result:
    label = labels.of("calendar", calendar.name or calendar.id)
    try:
        blocking = await count_ahead(session, calendar, zone=machine_zone(os.environ))
    except (RemoteError, UnknownZone):
        return Level.SKIPPED, f"{label} ({calendar.kind}) is used by no profile, and could not be read"
    if blocking < MANY:
        return Level.OK, f"{label} ({calendar.kind}) is used by no profile, and has hardly any upcoming events"
    return Level.WARNING, (
        f"{label} ({calendar.kind}) is used by no profile, but has {blocking} busy times in the "
        "next 90 days: should it be among the conflicts of a profile?"
    )


async def _handed_out(session: RemoteSession, calendar: RemoteCalendar, *, labels: Labels) -> Result:
    label = labels.of("calendar", calendar.name or calendar.id)
    try:
        count = await count_not_handed_out(session, calendar)
    except RemoteError:
        return Level.SKIPPED, f"the events of {label} could not be listed and read"
    if count:
        return Level.WARNING, f"{label}: {sentence_about(count)}: {WHAT_FOLLOWS}"
    return Level.OK, f"{label}: whatever is listed is handed out (at most {LOOKED_AT} events are tried)"
