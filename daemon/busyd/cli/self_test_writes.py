"""The writing half of the self-test: does a server do what bookings rely on, and how soon do reads show a write?

No guests, no alarms: nobody else sees any of it, and no mail is sent.
"""

import asyncio
import secrets
import uuid
from collections.abc import AsyncGenerator
from typing import Final

from msgspec.structs import replace

from busyd.booking.rendering import MARK
from busyd.cli.doctor_report import Level, ReportEntry
from busyd.cli.installation import Installation
from busyd.cli.scratch_calendar import ARRIVES_WITHIN, NAME_ONE, SCRATCH_NAME, ScratchCalendar
from busyd.cli.self_test import DAY, Result, Step, Steps
from busyd.cli.self_test_lag import Expected, Watch, appeared, changed_to, describe_lag, vanished
from busyd.cli.self_test_learned import Learned, keep_learned
from busyd.cli.terminal import print_note
from busyd.dav.href import ETag
from busyd.dav.objects import Refused, WriteOutcome
from busyd.dav.operation import FetchedObject, Listing, Written, fetch_object, put_object
from busyd.errors import RemoteError
from busyd.ical.compose import to_utc
from busyd.remote.client import CaldavClient
from busyd.remote.errors import WriteOutcomeUnknown
from busyd.remote.transport import Transport
from busyd.remote.wire import limits_of

_AT_ONCE: Final = 4
"""Writes of one name at the same time."""
_IMPATIENT: Final = 0.02
"""Seconds after which the answer to one write is not waited for."""
_ESSENTIAL: Final = frozenset({"write-create", "write-update", "write-delete"})
"""Steps without which the rest means nothing."""


class WriteTest:
    """Tries every kind of write in a scratch calendar, and removes what it has made."""

    def __init__(self, steps: Steps, scratch: ScratchCalendar) -> None:
        self._steps = steps
        self._session = steps.session
        self._run = steps.session.client.run
        self._scratch = scratch
        self._learned = Learned()
        self._uid = str(uuid.uuid4()).upper()
        self._event = ""
        self._etag = ETag("")
        self._stale = ETag("")
        self._mark = secrets.token_hex(8)
        self._stamp = to_utc(self._session.clock.now())

    async def run(self, listing: Listing, *, installation: Installation) -> AsyncGenerator[ReportEntry, None]:
        """One entry per step; whatever ends the test, what it has made is removed."""
        scratch, steps = self._scratch, self._steps
        told = False
        try:
            opened = await steps.take("write-calendar", lambda: scratch.open(listing), if_failed=(NAME_ONE,))
            yield opened
            self._event = scratch.event()
            for check, step in self._writes() if opened.level is Level.OK else ():
                entry = await steps.take(check, step)
                yield entry
                if entry.level is Level.FAILED and check in _ESSENTIAL:
                    break
            else:
                if opened.level is Level.OK:
                    yield keep_learned(steps, self._learned, installation=installation)
            told = True
        finally:
            if not told:
                print_note("removing what the test has made ...")
            removed = None
            if not scratch.is_untouched:
                removed = await steps.take("write-remove-calendar", scratch.remove, if_failed=(scratch.by_hand,))
                if not told:
                    print_note(
                        removed.message if removed.level is Level.OK else f"{removed.message}: {scratch.by_hand}"
                    )
        if removed is not None:
            yield removed

    def _writes(self) -> list[tuple[str, Step]]:
        return [
            ("write-create", self._create),
            ("write-read", self._read),
            ("write-create-again", self._create_again),
            ("write-same-uid", self._same_uid),
            ("write-update", self._update),
            ("write-stale-update", self._update_with_old_etag),
            ("write-update-nothing", self._update_nothing),
            ("write-stale-delete", self._delete_with_old_etag),
            ("write-delete", self._delete),
            ("write-create-deleted", self._create_deleted),
            ("write-race", self._race),
            ("write-no-end", self._no_end),
            ("write-late", self._late),
        ]

    async def _create(self) -> Result:
        watch = await self._watch()
        outcome = await self._scratch.put(self._event, self._payload(0))
        if isinstance(outcome, Refused):
            return Level.FAILED, f"creating an event was refused ({_reason(outcome)})"
        return await self._seen(watch, appeared(), what="a new event")

    async def _read(self) -> Result:
        stored = await self._stored()
        if stored is None or self._uid.encode() not in stored.payload:
            return Level.FAILED, "the new event cannot be read back"
        self._etag = stored.etag
        self._learned.keeps_marks = self._mark.encode() in stored.payload
        self._learned.keeps_stamps = f"DTSTAMP:{self._stamp}".encode() in stored.payload
        if not self._learned.keeps_marks:
            instead = "DTSTAMP comes back" if self._learned.keeps_stamps else "DTSTAMP does not come back, either"
            return Level.WARNING, f"an X- property does not come back with the event; {instead}"
        return Level.OK, "the event comes back with its X- property"

    async def _create_again(self) -> Result:
        outcome = await self._scratch.put(self._event, self._payload(0))
        return _expect_refusal(outcome, (412,), what="creating the same event a second time")

    async def _same_uid(self) -> Result:
        other = self._scratch.event()
        outcome = await self._scratch.put(other, self._payload(0))
        if isinstance(outcome, Refused):
            return Level.OK, f"the same event under another name was refused ({_reason(outcome)})"
        await self._scratch.delete(other, None)
        return Level.WARNING, "the same event was taken a second time, under another name"

    async def _update(self) -> Result:
        watch, self._stale = await self._watch(), self._etag
        outcome = await self._scratch.put(self._event, self._payload(1), if_match=self._etag)
        if isinstance(outcome, Refused):
            return Level.FAILED, f"changing the event was refused ({_reason(outcome)})"
        seen = await self._seen(watch, changed_to(_summary(1).encode(), before=self._stale), what="a change")
        stored = await self._stored()
        self._etag = stored.etag if stored is not None else ETag("")
        return seen

    async def _update_with_old_etag(self) -> Result:
        outcome = await self._scratch.put(self._event, self._payload(2), if_match=self._stale)
        return _expect_refusal(outcome, (412,), what="a change based on an outdated ETag")

    async def _update_nothing(self) -> Result:
        outcome = await self._scratch.put(self._scratch.event(), self._payload(2, uid=_uid()), if_match=self._etag)
        return _expect_refusal(outcome, (404, 409, 412), what="a change to an event that does not exist")

    async def _delete_with_old_etag(self) -> Result:
        outcome = await self._scratch.delete(self._event, self._stale)
        return _expect_refusal(outcome, (412,), what="a deletion based on an outdated ETag")

    async def _delete(self) -> Result:
        watch, stored = await self._watch(), await self._stored()
        outcome = await self._scratch.delete(self._event, stored.etag or None if stored else None)
        if isinstance(outcome, Refused):
            return Level.FAILED, f"deleting the event was refused ({_reason(outcome)})"
        return await self._seen(watch, vanished(), what="a deletion")

    async def _create_deleted(self) -> Result:
        """Delete and make again: iCloud remembers names and UIDs for a while."""
        outcome = await self._scratch.put(self._event, self._payload(3))
        self._learned.buries_names = isinstance(outcome, Refused)
        if not isinstance(outcome, Refused):
            await self._scratch.delete(self._event, None)
            return Level.OK, "a deleted event can be created again under its name"
        other = self._scratch.event()
        under_another = await self._scratch.put(other, self._payload(3))
        if isinstance(under_another, Refused):
            return Level.OK, f"the name of a deleted event is refused ({_reason(outcome)}), and so is its UID"
        await self._scratch.delete(other, None)
        return Level.OK, f"the name of a deleted event is refused ({_reason(outcome)}), but not its UID"

    async def _race(self) -> Result:
        href, uid = self._scratch.event(), _uid()
        outcomes = await asyncio.gather(
            *(self._scratch.put(href, self._payload(number, uid=uid)) for number in range(_AT_ONCE)),
            return_exceptions=True,
        )
        written = sum(isinstance(outcome, Written) for outcome in outcomes)
        refused = sorted({_reason(outcome) for outcome in outcomes if isinstance(outcome, Refused)})
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, RemoteError):
                raise outcome
        if written > 1:
            return Level.FAILED, f"of {_AT_ONCE} events with one name at the same time, {written} were taken"
        if not written:
            return Level.WARNING, f"of {_AT_ONCE} events with one name at the same time, none was taken"
        return Level.OK, f"of {_AT_ONCE} events with one name at the same time, one was taken ({', '.join(refused)})"

    async def _no_end(self) -> Result:
        payload = self._payload(0, uid=_uid())
        start = payload.index(b"DTEND:")
        without = payload[:start] + payload[payload.index(b"\n", start) + 1 :]
        outcome = await self._scratch.put(self._scratch.event(), without)
        self._learned.needs_end = isinstance(outcome, Refused)
        if isinstance(outcome, Refused):
            return Level.OK, f"an event without an end is refused ({_reason(outcome)}); busyd always writes one"
        return Level.OK, "an event without an end is taken"

    async def _late(self) -> Result:
        """A write whose answer is not waited for: when does it arrive?"""
        href = self._scratch.event()
        self._scratch.note_written(href, for_certain=False)
        connection, password = self._session.connection, self._session.password
        limits = replace(limits_of(connection), idle=_IMPATIENT)
        transport = Transport(connection, lambda: password, clock=self._session.clock, limits=limits)
        try:
            await CaldavClient(transport).run(put_object(href, self._payload(0, uid=_uid()), if_none_match=True))
        except WriteOutcomeUnknown:
            pass
        else:
            self._scratch.note_written(href)
            return Level.OK, f"a write was answered within {_IMPATIENT * 1000:.0f} ms, too soon to cut it off"
        finally:
            await transport.close()
        passed = 0.0
        for pause in (0.0, *ARRIVES_WITHIN):
            await self._session.clock.sleep(pause)
            passed += pause
            if await self._run(fetch_object(href)) is not None:
                self._scratch.note_written(href)
                if not pause:
                    return Level.OK, "a write that was cut off had been carried out"
                self._learned.late = passed
                return Level.WARNING, f"a write that was cut off was carried out {passed:g} s later"
        return Level.OK, f"a write that was cut off was not carried out within {passed:g} s"

    async def _watch(self) -> Watch:
        watch = Watch(self._session, self._scratch.url, href=self._event)
        await watch.begin()
        return watch

    async def _seen(self, watch: Watch, expected: Expected, *, what: str) -> Result:
        lag = await watch.until(expected)
        self._learned.lags.append(lag)
        message = f"{what} is shown: {describe_lag(lag)}"
        if watch.loses_changes:
            return Level.WARNING, f"{message}; the sync token goes by it before it is shown, so that it can be missed"
        return (Level.OK if lag.seconds < 10 else Level.WARNING), message

    async def _stored(self) -> FetchedObject | None:
        return await self._run(fetch_object(self._event))

    def _payload(self, sequence: int, *, uid: str = "") -> bytes:
        """An event tomorrow night that blocks nothing, with the end and the stamps iCloud insists on."""
        now = self._session.clock.now()
        start = now - now % DAY + DAY
        lines = (
            "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//busyd//self-test//EN", "BEGIN:VEVENT",
            f"{MARK}:{self._mark}", f"UID:{uid or self._uid}", f"DTSTAMP:{self._stamp}", f"DTSTART:{to_utc(start)}",
            f"DTEND:{to_utc(start + 900)}", f"SEQUENCE:{sequence}", f"SUMMARY:{_summary(sequence)}",
            "TRANSP:TRANSPARENT", "END:VEVENT", "END:VCALENDAR",
        )  # fmt: skip
        return "".join(f"{line}\r\n" for line in lines).encode()


def _uid() -> str:
    return str(uuid.uuid4()).upper()


def _summary(sequence: int) -> str:
    return f"{SCRATCH_NAME} {sequence}"


def _expect_refusal(outcome: WriteOutcome, statuses: tuple[int, ...], *, what: str) -> Result:
    if not isinstance(outcome, Refused):
        return Level.FAILED, f"{what} was not refused, so busyd cannot protect changes made elsewhere"
    if outcome.status not in statuses:
        return Level.WARNING, f"{what} was refused with {_reason(outcome)} instead of status {statuses[-1]}"
    return Level.OK, f"{what} was refused (status {outcome.status})"


def _reason(refused: Refused) -> str:
    return f"status {refused.status}{f', {refused.precondition}' if refused.precondition else ''}"
