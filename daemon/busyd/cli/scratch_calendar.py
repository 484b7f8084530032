"""The calendar in which the self-test writes: found or made, and left as it was found.

No other calendar is touched, and nothing in it that the test did not make.
"""

import contextlib
import uuid
from typing import Final

from busyd.cli.doctor_report import Level
from busyd.cli.references import is_writable
from busyd.cli.remote_session import RemoteSession
from busyd.cli.self_test import Result
from busyd.connection import AmbiguousCalendar, CalendarReference, RemoteCalendar, find_calendar
from busyd.dav import names
from busyd.dav.errors import NotFound
from busyd.dav.exchange import DavRequest, Operation, raise_for_status
from busyd.dav.href import ETag, normalise_href, resolve_url
from busyd.dav.objects import Refused, WriteOutcome
from busyd.dav.operation import Account, Listing, Written, delete_object, list_members, put_object
from busyd.dav.xml import make, write_xml
from busyd.errors import RemoteError
from busyd.remote.errors import WriteOutcomeUnknown

SCRATCH_NAME: Final = "busyd self-test"
NAME_ONE: Final = "create an empty calendar by hand, and name it with --scratch"
_USABLE_WITHIN: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between looks for a calendar that was just made, where a server says that there is none yet."""
ARRIVES_WITHIN: Final = (0.25, 0.5, 1.0, 1.0, 2.0)
"""Seconds between looks for a write of which nobody knows whether it was carried out."""


class ScratchCalendar:
    """Where the test writes, and all that it has made there."""

    def __init__(self, session: RemoteSession, account: Account, *, name: str | None, may_have_events: bool) -> None:
        self.url = ""
        """Absolute, with a slash at the end."""
        self._run = session.client.run
        self._session = session
        self._account = account
        self._name = name
        self._may_have_events = may_have_events
        self._is_made = False
        self._written: set[str] = set()
        """Events that are there."""
        self._unknown: set[str] = set()
        """Events written without an answer: they may appear at any time."""

    async def open(self, listing: Listing) -> Result:
        """Find the calendar that was named, or make it. A FAILED result says why there is none to write in."""
        try:
            known = self._find(listing)
        except AmbiguousCalendar:
            return Level.FAILED, "more than one calendar has the name given with --scratch; give an id instead"
        if known is None and self._account.is_single:
            return Level.SKIPPED, "the url is that of a single calendar; to write there, name it with --scratch"
        if known is None:
            self.url = resolve_url(self._account.homes[0], f"{str(uuid.uuid4()).upper()}/", collection=True)
            await self._make()
            return Level.OK, "created a scratch calendar"
        if not is_writable(known):
            return Level.FAILED, f"the calendar given with --scratch is read-only ({known.kind})"
        self.url = resolve_url(self._account.homes[0], known.href, collection=True)
        count = len((await self._run(list_members(self.url))).etags)
        if count and not self._may_have_events:
            return Level.FAILED, f"the calendar given with --scratch is not empty ({count} events)"
        return Level.OK, f"using the calendar given with --scratch ({count} events)"

    @property
    def by_hand(self) -> str:
        """What to do where it cannot be removed."""
        what = "the events whose title begins with" if self._name else "the calendar named"
        return f"delete {what} {SCRATCH_NAME!r} by hand, for example on the phone"

    @property
    def is_untouched(self) -> bool:
        """Whether there is nothing to remove."""
        return not (self._is_made or self._written or self._unknown)

    def event(self) -> str:
        """The address of an event that never was."""
        return f"{normalise_href(self.url)}{str(uuid.uuid4()).upper()}.ics"

    async def put(self, href: str, payload: bytes, *, if_match: ETag | None = None) -> WriteOutcome:
        """Create an event, or change it with `if_match`. Raises RemoteError."""
        operation = put_object(href, payload, if_match=if_match, if_none_match=if_match is None)
        try:
            outcome: WriteOutcome = await self._run(operation)
        except BaseException:  # also when the test is interrupted
            self.note_written(href, for_certain=False)
            raise
        if isinstance(outcome, Written):
            self.note_written(href)
        return outcome

    async def delete(self, href: str, etag: ETag | None) -> WriteOutcome:
        """Delete an event. Raises RemoteError."""
        outcome: WriteOutcome = await self._run(delete_object(href, etag))
        if isinstance(outcome, Written):
            self._written.discard(href)
        return outcome

    def note_written(self, href: str, *, for_certain: bool = True) -> None:
        """An event is there, or may be there at any time."""
        (self._written if for_certain else self._unknown).add(href)
        if for_certain:
            self._unknown.discard(href)

    async def remove(self) -> Result:
        """Remove all that the test has made. Raises RemoteError, having removed what could be removed."""
        try:
            if self._is_made:
                await self._run(_remove(self.url))
                return Level.OK, "removed the scratch calendar again"
        except RemoteError:
            await self._remove_events()
            raise
        left = await self._remove_events()
        for pause in ARRIVES_WITHIN if self._unknown else ():
            await self._session.clock.sleep(pause)
            left += await self._remove_events()
        if left:
            return Level.FAILED, f"{left} of the events that were made could not be removed"
        return Level.OK, "removed all events that were made"

    async def _remove_events(self) -> int:
        """Delete the events; how many stay. No look before, which may lag: nobody else uses these names."""
        refused = 0
        for href in sorted(self._written | self._unknown):
            refused += isinstance(await self.delete(href, None), Refused)
        self._written.clear()
        return refused

    async def _make(self) -> None:
        try:
            await self._run(_make_calendar(self.url, self._name or SCRATCH_NAME))
        except RemoteError as error:
            self._is_made = isinstance(error, WriteOutcomeUnknown)
            raise
        except BaseException:
            self._is_made = True
            raise
        self._is_made = True
        with contextlib.suppress(RemoteError):  # not every server keeps it
            await self._run(_mark_transparent(self.url))
        for pause in _USABLE_WITHIN:
            try:
                await self._run(list_members(self.url))
            except NotFound:
                await self._session.clock.sleep(pause)
            else:
                break

    def _find(self, listing: Listing) -> RemoteCalendar | None:
        if self._name is None:
            return None
        reference = CalendarReference(self._session.connection.name, self._name)
        return find_calendar(reference, listing.calendars)


def _make_calendar(url: str, name: str) -> Operation[None]:
    """RFC 4791 §5.3.1, for events alone: iCloud takes one component type."""
    component = make(names.COMP)
    component.set("name", "VEVENT")
    properties = make(
        names.PROP,
        make(names.DISPLAYNAME, name),
        make(names.SUPPORTED_CALENDAR_COMPONENT_SET, component),
    )
    body = write_xml(make(names.caldav("mkcalendar"), make(names.dav("set"), properties)))
    headers = (("Content-Type", "application/xml; charset=utf-8"),)
    response = yield DavRequest("MKCALENDAR", url, headers=headers, body=body)
    if response.status not in (200, 201, 204):
        raise_for_status(response)


def _mark_transparent(url: str) -> Operation[None]:
    """RFC 6638 §9.1: a daemon that counts all calendars of the account does not count this one meanwhile."""
    transparent = make(names.SCHEDULE_CALENDAR_TRANSP, make(names.TRANSPARENT))
    body = write_xml(make(names.PROPERTYUPDATE, make(names.dav("set"), make(names.PROP, transparent))))
    yield DavRequest("PROPPATCH", url, headers=(("Content-Type", "application/xml; charset=utf-8"),), body=body)


def _remove(url: str) -> Operation[None]:
    response = yield DavRequest("DELETE", url)
    if response.status not in (200, 204, 404, 410):
        raise_for_status(response)
