"""A connection that another daemon polls: what would be asked of its schedule is asked of that daemon."""

from collections.abc import Awaitable, Callable, Container
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

from busyd.clock import Clock
from busyd.connection import FEEDS, CalendarKind
from busyd.errors import RemoteError
from busyd.period import Instant
from busyd.progress import Progress, Report
from busyd.state.state import State
from busyd.store.mirror import CalendarRecord

if TYPE_CHECKING:
    from busyd.booking.carrying import Client
    from busyd.flow.looks import WriteContext


class FollowedConnection:
    """Takes the place of a `PollSchedule`."""

    def __init__(self, name: str, state: State, *, clock: Clock, ask: Callable[[str], Awaitable[bool]]) -> None:
        """`ask` returns whether a poll has ended that began after it was called, and what it found is in memory."""
        self._name = name
        self._state = state
        self._clock = clock
        self._ask = ask
        self.is_refused = False
        """Whether the login was refused at the last try, as its owner says."""

    async def poll_now(self, report: Report | None = None) -> bool:
        """Have it polled; whether it could be read.

        What its owner says to have proved by its last poll was proved from then on.
        """
        since, monotonic = self._clock.now(), self._clock.monotonic()
        is_polled = await self._ask(self._name)
        connection_state = self._state.connection_state(self._name)
        is_good = is_polled and not connection_state.trouble
        for record in self._state.calendars_of(self._name) if is_good else ():
            is_well = record.id not in connection_state.calendar_trouble
            if is_well and _is_proved(record, since=since, proved=connection_state.proved_last):
                connection_state.proved[record.id] = monotonic
                self._state.proofs.note_later(record, monotonic=monotonic)
        self._state.publish(connections=(self._name,))
        if report is not None:
            count = len(self._state.linked_calendars(self._name))
            step = "done" if is_good else "failed"
            report(Progress(self._name, "", step, count, count, detail=connection_state.trouble))
        return is_good

    async def check_now(self) -> bool:
        return await self.poll_now()

    async def look(self, *, is_awaited: bool = True) -> bool:
        """The same for a booking."""
        del is_awaited  # its owner leaves nothing to others
        return await self.poll_now()

    @property
    def context(self) -> "WriteContext":
        raise self._elsewhere()

    def undisturbed(self) -> "AbstractAsyncContextManager[Client]":
        raise self._elsewhere()

    def _elsewhere(self) -> RemoteError:
        return RemoteError(f"{self._name} is written to by another daemon")


def _is_proved(record: CalendarRecord, *, since: Instant, proved: Container[int]) -> bool:
    """Whether a good poll that began after a moment has proved a calendar. `proved`: what its owner says of it.

    Whole seconds do not tell: what was proved just before looks the same.
    """
    if record.remote.kind not in FEEDS:
        return record.id in proved
    is_read = record.remote.kind is CalendarKind.FEED  # any poll reads it; a subscription only when that is due
    return record.as_of is not None and (record.as_of > since or (is_read and record.as_of == since))
