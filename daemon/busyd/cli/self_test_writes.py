"""The writing half of the self-test, in a scratch calendar that is created for it and removed afterwards.

No guests, no alarms, no other calendar is touched: nobody else sees any of it, and no mail is sent.
"""

import uuid
from collections.abc import AsyncIterator
from typing import Final

from busyd.cli.doctor_report import Level, ReportEntry
from busyd.cli.self_test import DAY, Result, Step, Steps
from busyd.dav import names
from busyd.dav.exchange import DavRequest, Operation, raise_for_status
from busyd.dav.href import ETag, normalise_href, resolve_url
from busyd.dav.objects import Refused, WriteOutcome
from busyd.dav.operation import (
    Account,
    FetchedObject,
    Written,
    delete_object,
    fetch_object,
    list_members,
    put_object,
)
from busyd.dav.xml import make, write_xml
from busyd.ical.compose import to_utc

SCRATCH_NAME: Final = "busyd self-test"
_BY_HAND: Final = f"delete the calendar named {SCRATCH_NAME!r} by hand, for example on the phone"
_LISTING_WAITS: Final = (1.0, 2.0, 4.0)
"""Seconds between listings after a write: iCloud lists a new event only some seconds later."""


class ScratchTest:
    """Creates a calendar, tries every kind of write in it, and removes it."""

    def __init__(self, steps: Steps, account: Account) -> None:
        self._steps = steps
        self._run = steps.session.client.run
        self._clock = steps.session.clock
        name = str(uuid.uuid4()).upper()
        self._calendar = resolve_url(account.homes[0], f"{name}/", collection=True)
        self._uid = str(uuid.uuid4()).upper()
        self._event = f"{normalise_href(self._calendar)}{self._uid}.ics"
        self._etag = ETag("")
        self._stale = ETag("")

    async def run(self) -> AsyncIterator[ReportEntry]:
        """One entry per step; a failed step ends the test, but the calendar is removed all the same."""
        made = await self._steps.take("write-calendar", self._make_calendar)
        yield made
        if made.level is Level.FAILED:
            return
        try:
            for check, step in self._writes():
                entry = await self._steps.take(check, step)
                yield entry
                if entry.level is Level.FAILED:
                    break
        finally:
            removed = await self._steps.take("write-remove-calendar", self._remove_calendar, if_failed=(_BY_HAND,))
        yield removed

    def _writes(self) -> list[tuple[str, Step]]:
        return [
            ("write-create", self._create),
            ("write-create-again", self._create_again),
            ("write-read", self._read),
            ("write-listed", self._find_in_listing),
            ("write-update", self._update),
            ("write-stale-update", self._update_with_old_etag),
            ("write-delete", self._delete),
            ("write-gone", self._find_gone),
        ]

    async def _make_calendar(self) -> Result:
        await self._run(_make_calendar(self._calendar))
        return Level.OK, f"created a calendar named {SCRATCH_NAME!r}"

    async def _remove_calendar(self) -> Result:
        await self._run(_remove(self._calendar))
        return Level.OK, "removed the calendar again"

    async def _create(self) -> Result:
        outcome = await self._run(put_object(self._event, self._payload(0), if_none_match=True))
        if isinstance(outcome, Refused):
            return Level.FAILED, f"creating an event was refused ({_reason(outcome)})"
        return self._keep_etag(outcome, "created an event")

    async def _create_again(self) -> Result:
        outcome = await self._run(put_object(self._event, self._payload(0), if_none_match=True))
        return _expect_refusal(outcome, 412, what="creating the same event a second time")

    async def _read(self) -> Result:
        stored: FetchedObject | None = await self._run(fetch_object(self._event))
        if stored is None or self._uid.encode() not in stored.payload:
            return Level.FAILED, "the new event cannot be read back"
        if self._etag and stored.etag and stored.etag != self._etag:
            self._etag = stored.etag
            return Level.WARNING, "the event was read back with another ETag than the one returned for the write"
        self._etag = stored.etag or self._etag
        return Level.OK, "read the event back"

    async def _find_in_listing(self) -> Result:
        waited = 0.0
        for pause in (0.0, *_LISTING_WAITS):
            await self._clock.sleep(pause)
            waited += pause
            members = await self._run(list_members(self._calendar))
            if normalise_href(self._event) in members.etags:
                return Level.OK, f"the event was listed after {waited:.0f} s"
        return Level.WARNING, f"the event was still not listed after {waited:.0f} s"

    async def _update(self) -> Result:
        self._stale = self._etag
        outcome = await self._run(put_object(self._event, self._payload(1), if_match=self._etag))
        if isinstance(outcome, Refused):
            return Level.FAILED, f"changing the event was refused ({_reason(outcome)})"
        return self._keep_etag(outcome, "changed the event")

    async def _update_with_old_etag(self) -> Result:
        outcome = await self._run(put_object(self._event, self._payload(2), if_match=self._stale))
        return _expect_refusal(outcome, 412, what="a change based on an outdated ETag")

    async def _delete(self) -> Result:
        stored: FetchedObject | None = await self._run(fetch_object(self._event))
        outcome = await self._run(delete_object(self._event, stored.etag if stored else None))
        if isinstance(outcome, Refused):
            return Level.FAILED, f"deleting the event was refused ({_reason(outcome)})"
        return Level.OK, "deleted the event"

    async def _find_gone(self) -> Result:
        if await self._run(fetch_object(self._event)) is not None:
            return Level.WARNING, "the deleted event can still be read"
        return Level.OK, "the deleted event is gone (404)"

    def _keep_etag(self, outcome: WriteOutcome, message: str) -> Result:
        given = outcome.etag if isinstance(outcome, Written) else None
        self._etag = given or ETag("")
        return Level.OK, message if given else f"{message}; the server returned no ETag"

    def _payload(self, sequence: int) -> bytes:
        """An event tomorrow night that blocks nothing, with the end and the stamps iCloud insists on."""
        now = self._clock.now()
        start = now - now % DAY + DAY
        lines = (
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//busyd//self-test//EN", "BEGIN:VEVENT", f"UID:{self._uid}",
            f"DTSTAMP:{to_utc(now)}", f"DTSTART:{to_utc(start)}", f"DTEND:{to_utc(start + 900)}",
            f"SEQUENCE:{sequence}", f"SUMMARY:{SCRATCH_NAME}", "TRANSP:TRANSPARENT", "END:VEVENT", "END:VCALENDAR",
        )  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines).encode()


def _expect_refusal(outcome: WriteOutcome, status: int, *, what: str) -> Result:
    if not isinstance(outcome, Refused):
        return Level.FAILED, f"{what} was not refused, so busyd cannot protect changes made elsewhere"
    if outcome.status != status:
        return Level.WARNING, f"{what} was refused with {_reason(outcome)} instead of status {status}"
    return Level.OK, f"{what} was refused (status {status})"


def _reason(refused: Refused) -> str:
    return f"status {refused.status}{f', {refused.precondition}' if refused.precondition else ''}"


def _make_calendar(url: str) -> Operation[None]:
    """RFC 4791 §5.3.1, for events alone: iCloud takes one component type."""
    component = make(names.COMP)
    component.set("name", "VEVENT")
    properties = make(
        names.PROP,
        make(names.DISPLAYNAME, SCRATCH_NAME),
        make(names.SUPPORTED_CALENDAR_COMPONENT_SET, component),
    )
    body = write_xml(make(names.caldav("mkcalendar"), make(names.dav("set"), properties)))
    headers = (("Content-Type", "application/xml; charset=utf-8"),)
    response = yield DavRequest("MKCALENDAR", url, headers=headers, body=body)
    if response.status not in (200, 201, 204):
        raise_for_status(response)


def _remove(url: str) -> Operation[None]:
    response = yield DavRequest("DELETE", url)
    if response.status not in (200, 204, 404, 410):
        raise_for_status(response)
