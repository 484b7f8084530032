"""Requests that change the outbox, each done exactly once.

The order is always: one transaction of the ledger, then the snapshots, then the answer. A row that was told is thus
kept, and busy in every answer; one that was committed and not told is busy too.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from busyd.booking.transitions import BookingEvent, next_state
from busyd.connection import Connection
from busyd.cooperative import to_the_end
from busyd.errors import UserError
from busyd.flow.appointment_requests import ChangeRefused
from busyd.flow.ask import find_profile
from busyd.flow.deciding import DecisionBasis, Outdated
from busyd.index.writer import IndexWriter
from busyd.period import Instant, Period
from busyd.state.links import calendar_keys
from busyd.state.told_appointment import is_under_way
from busyd.store.bookings import Booking, BookingKind
from busyd.store.ledger_thread import LedgerThread
from busyd.store.outbox import KeyMismatch, Outbox

__all__ = ["KeyMismatch", "KeyedRequest", "OutboxRequests", "Told", "UnknownBooking", "visible"]

T = TypeVar("T")

_GONE: Final = 204
"""The status of the answer to what ends a row."""


class UnknownBooking(UserError):
    """There is nothing of this id, or nothing that the caller may see."""


class KeyedRequest(Struct, frozen=True):
    """A request that changes something: what tells it from others, and who makes it."""

    profile: str
    now: Instant
    key: str = ""
    """Idempotency-Key; empty when there was none."""
    fingerprint: bytes = b""
    """The same for the same request only."""
    token: str = ""
    """The id of the caller's token."""
    sees_all: bool = False
    """Whether the caller may see what was not asked for with this token."""


class Told(Struct, frozen=True):
    """What a request gets for an answer, now and whenever it is made again with the same key."""

    status: int
    body: bytes
    booking: str


class OutboxRequests:
    """The outbox and the snapshots, changed together."""

    def __init__(self, writer: IndexWriter, ledger: LedgerThread) -> None:
        self._writer = writer
        self._ledger = ledger
        self.has_holds = asyncio.Event()
        """Set while a hold may be in force: somebody has to end it."""
        self.has_holds.set()  # what the last run has left
        self.deciding = asyncio.Lock()
        """Held from the look at what is busy until a row is shown, so that the next look sees it."""
        self.told_of: set[str] = set()
        """Rows under way that a second request with the same key was told of: they are not taken back any more."""
        self._was_restored: bool | None = None
        self.on_shown: Callable[[Sequence[Booking]], object] = lambda _: None
        """Called with rows that were committed, once they are shown; see `shared_rows.py`."""
        self.shown_upto: Callable[[], int] | None = None
        """Up to which number what other daemons have written is shown; None where there are none."""

    @property
    def is_shared(self) -> bool:
        """Whether other daemons take requests and carry rows on, too."""
        return self.shown_upto is not None

    async def decide(self, profile: str, work: Callable[[DecisionBasis | None], Awaitable[T]]) -> T:
        """Decide by what is shown, and once more whenever others had committed what was not.

        To be called with `deciding` held. `work` calls `require_newest` in the transaction of what it has decided, of
        what it is given: None where this daemon is the only one. Raises what it raises.
        """
        while True:
            try:
                return await work(self._basis(profile))
            except Outdated as late:
                await to_the_end(self._show(late.rows))

    def _basis(self, profile: str) -> DecisionBasis | None:
        if self.shown_upto is None:
            return None
        links = find_profile(self._writer.state, profile).links
        shown = {row.id: row.spans for row in self._writer.state.own.of(profile, links)}
        return DecisionBasis(profile, calendar_keys(links), shown, self.shown_upto())

    async def once(
        self,
        asked: KeyedRequest,
        work: Callable[[Outbox], tuple[Booking, int]],
        *,
        render: Callable[[Booking], bytes],
    ) -> Told:
        """Do what was asked for and keep the answer, or tell what was told before under the same key.

        `work` returns the row and the status of the answer; whatever it raises undoes it. Raises UnknownProfile,
        KeyMismatch, StorageError.
        """
        await self.load_tables(asked.profile)

        def whole(outbox: Outbox) -> tuple[Told, Booking | None]:
            known = _told_before(outbox, asked)
            if known is not None:
                return known, outbox.find(known.booking)
            row, status = work(outbox)
            told = Told(status, render(row), row.id)
            if asked.key:
                outbox.use_key(asked.profile, asked.key, fingerprint=asked.fingerprint, booking=row, now=asked.now)
                outbox.keep_answer(asked.profile, asked.key, status=status, answer=told.body)
            return told, row

        return await to_the_end(self._commit(whole))

    async def end(self, asked: KeyedRequest, booking: str, *, kind: BookingKind, reason: str) -> Told:
        """End a row that is local only; the same when it has ended. Raises UnknownBooking, and as `once` does."""

        def work(outbox: Outbox) -> tuple[Booking, int]:
            row = visible(outbox.find(booking), asked, kind=kind, booking=booking)
            if row.blocks:
                state = next_state(row.kind, row.state, event=BookingEvent.CANCEL, is_local=True)
                row = replace(row, state=state, reason=reason, settled=asked.now)
                outbox.record(row)
            return row, _GONE

        return await self.once(asked, work, render=lambda _: b"")

    async def told_before(self, asked: KeyedRequest) -> Told | None:
        """What was told under the key of a request. Raises KeyMismatch, StorageError."""
        return await self._ledger.outbox(lambda outbox: _told_before(outbox, asked))

    async def read(self, work: Callable[[Outbox], T]) -> T:
        """What the outbox has. Raises StorageError."""
        return await self._ledger.outbox(work)

    async def known(self, asked: KeyedRequest) -> Told | Booking | None:
        """What came of the same request before: what was told, or the row, while that is not settled.

        Raises KeyMismatch, ChangeRefused, StorageError.
        """

        return await self._ledger.outbox(lambda outbox: self._known(outbox, asked))

    async def known_or_named(self, asked: KeyedRequest) -> tuple[Told | Booking | None, str]:
        """The same with the UID of what is to be written for it."""
        return await self._ledger.outbox(
            lambda outbox: (self._known(outbox, asked), outbox.uid_for(asked.profile, asked.key))
        )

    async def was_restored(self) -> bool:
        """Whether the ledger ever came from a backup, which it does only while no daemon runs. Raises StorageError."""
        if self._was_restored is None:
            self._was_restored = await self._ledger.outbox(lambda outbox: outbox.was_restored())
        return self._was_restored

    async def keep_answer(self, asked: KeyedRequest, told: Told) -> None:
        """Keep what is told of a request now that it is settled, to be told again. Raises StorageError."""
        if asked.key:
            await self._ledger.outbox(lambda outbox: keep_answer(outbox, asked, told=told))

    async def lag_of(self, connection: Connection) -> float:
        """Seconds for which reads of a server may lag behind its writes, as far as that was measured; else 0.

        Raises StorageError.
        """
        traits = await self._ledger.server_traits(lambda known: known.find(connection))
        return traits.lag.seconds if traits is not None else 0.0

    async def change(self, work: Callable[[Outbox], Sequence[Booking]]) -> None:
        """Change rows, of which `work` returns those that are others now. Raises StorageError."""
        await to_the_end(self._change(work))

    async def change_once(
        self, asked: KeyedRequest, work: Callable[[Outbox], Sequence[Booking]]
    ) -> Told | Booking | None:
        """The same for a request about the first of those rows, unless a twin was quicker: what is known of that."""
        known: Told | Booking | None = None

        def whole(outbox: Outbox) -> Sequence[Booking]:
            nonlocal known
            known = self._known(outbox, asked)
            if known is not None:
                return ()
            rows = work(outbox)
            if asked.key:
                outbox.use_key(asked.profile, asked.key, fingerprint=asked.fingerprint, booking=rows[0], now=asked.now)
            return rows

        await self.change(whole)
        return known

    async def find(self, asked: KeyedRequest, booking: str, *, kind: BookingKind) -> Booking:
        """A row by its id, also one that has ended. Raises UnknownBooking, StorageError."""
        row = await self._ledger.outbox(lambda outbox: outbox.find(booking))
        return visible(row, asked, kind=kind, booking=booking)

    async def in_force(self, asked: KeyedRequest, window: Period, *, kind: BookingKind) -> list[Booking]:
        """The rows in force that touch a window and that the caller may see, in order. Raises StorageError."""
        return [row for row in await self.touching(asked, window, kind=kind) if row.blocks]

    async def touching(self, asked: KeyedRequest, window: Period, *, kind: BookingKind) -> list[Booking]:
        """The same with those that have ended. Raises StorageError."""
        rows = await self._ledger.outbox(lambda outbox: outbox.of_profile(asked.profile, window))
        return [row for row in rows if _may_see(row, asked, kind=kind)]

    async def forget_keys(self, now: Instant) -> None:
        """Drop keys of requests that nobody will make again. Raises StorageError."""
        await self._ledger.outbox(lambda outbox: outbox.forget_keys(now))

    async def _change(self, work: Callable[[Outbox], Sequence[Booking]]) -> None:
        rows = await self._ledger.outbox(work)
        if rows:
            await self._show(rows)

    async def _commit(self, work: Callable[[Outbox], tuple[Told, Booking | None]]) -> Told:
        """Commit, then show: also when whoever asked does not wait for it."""
        told, row = await self._ledger.outbox(work)
        if row is not None:
            await self._show([row])
        return told

    def _known(self, outbox: Outbox, asked: KeyedRequest) -> Told | Booking | None:
        """As `known`, within a transaction: the next one knows who was told of what."""
        if not asked.key:
            return None
        use = outbox.find_key(asked.profile, asked.key, fingerprint=asked.fingerprint)
        if use is None:
            return None
        if (told := _told_before(outbox, asked)) is not None:
            return told
        row = outbox.find(use.booking)
        if row is not None and is_under_way(row):
            self.told_of.add(row.id)
            outbox.note_told(row)
        return row

    async def _show(self, rows: Sequence[Booking]) -> None:
        if any(row.kind is BookingKind.HOLD and row.blocks for row in rows):
            self.has_holds.set()
        await self._writer.publisher.show_rows(rows)
        self.on_shown(rows)

    async def load_tables(self, profile: str) -> None:
        """Have the snapshot be one that rows can be added to: after a start it is a stored one for a moment.

        Raises UnknownProfile, StorageError.
        """
        is_stored = find_profile(self._writer.state, profile).readings is None
        if is_stored or self._writer.publisher.lacking_tables((profile,)):
            await self._writer.complete_tables()


def _may_see(row: Booking, asked: KeyedRequest, *, kind: BookingKind) -> bool:
    """Whether a row is one of this kind that the caller may see."""
    is_its = row.kind is kind and row.profile == asked.profile
    return is_its and (asked.sees_all or (bool(asked.token) and row.token == asked.token))


def visible(row: Booking | None, asked: KeyedRequest, *, kind: BookingKind, booking: str) -> Booking:
    """The row, if it is one of this kind that the caller may see. Raises UnknownBooking."""
    if row is None or not _may_see(row, asked, kind=kind):
        message = f"there is no {kind} {booking!r} that you may see"
        raise UnknownBooking(message, fix=f"GET …/{kind}s lists those in force")
    return row


def keep_answer(outbox: Outbox, asked: KeyedRequest, *, told: Told) -> None:
    """Keep what is told of a request, to be told again."""
    outbox.keep_answer(asked.profile, asked.key, status=told.status, answer=told.body)


def _told_before(outbox: Outbox, asked: KeyedRequest) -> Told | None:
    if not asked.key:
        return None
    known = outbox.find_key(asked.profile, asked.key, fingerprint=asked.fingerprint)
    if known is None or known.status is None:
        return None
    if known.is_refused:
        raise ChangeRefused
    return Told(known.status, known.answer or b"", known.booking)
