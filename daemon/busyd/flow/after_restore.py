"""What is told after the ledger was restored from a backup: of each row once, and of events that it does not know.

They bear the mark of a PUT of busyd, and no row has their name: booked after the backup, or by another installation.
They are listed and left alone. They block as any other event does.
"""

import logging
from typing import Final

from busyd.advice.bookings import describe_unknown
from busyd.booking.rendering import MARK
from busyd.dav.href import normalise_href
from busyd.errors import BusydError
from busyd.flow.requests import OutboxRequests
from busyd.index.writer import IndexWriter
from busyd.period import EARLIEST, to_rfc3339
from busyd.store.bookings import Booking, BookingKind, BookingState
from busyd.store.mirror import CalendarRecord

logger = logging.getLogger(__name__)

_FOUND: Final = {
    BookingState.BOOKED: "it is in the calendar",
    BookingState.CONFIRMED: "it is in the calendar, and is looked at once more before it counts as booked",
    BookingState.REMOVED: "it is not in the calendar any more, and is not written again",
    BookingState.CANCELLED: "it is rightly not in the calendar",
    BookingState.REFUSED: "it is rightly not in the calendar",
    BookingState.CANCELLING: "it kept time for a change whose outcome is unknown, and is removed",
    BookingState.ATTENTION: "it is in the calendar and should not be; DELETE it once more to have it removed",
    BookingState.ATTENTION_RESTORED: "it is not in the calendar; ask again with the same key to have it written, "
    "or cancel it",
}


def told_after_restore(before: Booking, after: Booking) -> str:
    """What the first look after a restore has shown of a row, in a sentence without its title."""
    found = _FOUND.get(after.state, f"it is {after.state.value}")
    if after.state is BookingState.BOOKED and after.changed_elsewhere:
        found = f"it is in the calendar, and was changed there since ({after.changed_elsewhere})"
    if before.wanted is not None and after.reason == "change-unknown":
        found = f"{found}; what came of its last change is not known"
    kind = "event" if before.kind is BookingKind.CLAIM else before.kind.value
    return f"restored {kind} {after.id} of {after.profile}, {to_rfc3339(after.span.start)}: {found}"


def level_after_restore(after: Booking) -> int:
    """How loudly to tell it: nothing has to be done where it is as it was told before."""
    return logging.INFO if after.state in (BookingState.CANCELLED, BookingState.REFUSED) else logging.WARNING


class UnknownEvents:
    """The events of busyd that a restored ledger does not know, looked for once a start in every calendar."""

    def __init__(self, requests: OutboxRequests, writer: IndexWriter) -> None:
        self._requests = requests
        self._writer = writer
        self._since = writer.clock.now()
        """A calendar is looked through once it was confirmed after this: the mirror may have been restored, too."""
        self._looked: dict[int, int] = {}
        """Calendar -> the generation that was looked through last."""

    async def after_poll(self, connection: str) -> None:
        """Look through what the calendars of a connection have now."""
        try:
            is_restored = await self._requests.was_restored()
            for record in self._writer.state.calendars_of(connection) if is_restored else ():
                await self._look_through(record)
        except BusydError as error:
            logger.warning("%s: unknown events were not looked for, the next poll does: %s", connection, error)

    async def _look_through(self, record: CalendarRecord) -> None:
        unknown, state = self._writer.state.unknown_events, self._writer.state
        generation = state.tables.generations.get(record.id, 0)
        looked = self._looked.get(record.id)
        is_read = record.complete and record.as_of is not None and record.as_of >= self._since
        if not is_read or looked == generation or (looked is not None and record.id not in unknown):
            return
        found = await self._writer.store.objects_that_say(record.id, f"{MARK}:".encode())
        rows = await self._requests.read(lambda outbox: outbox.followed(EARLIEST)) if found else []
        known = {normalise_href(row.href) for row in rows}
        names = tuple(uid or href for href, uid in found.items() if href not in known)
        self._looked[record.id] = generation
        if names == unknown.get(record.id, ()):
            return
        unknown[record.id] = names
        if names:
            logger.warning("%s: %s", record.label, describe_unknown(names))
        else:
            del unknown[record.id]
        state.publish(connections=(record.connection,))
