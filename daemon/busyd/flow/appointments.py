"""Appointments: what is asked of them, decided and committed; `book.py` carries it out.

Accepted is what `/slots` offers at that moment, by the same code. From its commit an appointment keeps its time,
whatever comes of it; a change keeps the old time and the new one.
"""

import secrets
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from busyd.booking.applying import applied
from busyd.booking.decision import Step
from busyd.booking.transitions import BookingEvent
from busyd.clock import Clock
from busyd.flow.appointment_requests import (
    AppointmentChanges,
    NewAppointment,
    NotCurrent,
    NotSettled,
)
from busyd.flow.appointment_view import AppointmentView, view_appointment
from busyd.flow.ask import find_profile, require_understood
from busyd.flow.book import Booker
from busyd.flow.carried_rows import CarriedRows
from busyd.flow.deciding import DecisionBasis
from busyd.flow.inviting import organizer_of
from busyd.flow.membership import (
    NotOffered,
    NotProven,
    Offer,
    ProfileSource,
    WhyNot,
    find_alternatives,
    not_offered,
    offer_of,
    require_profile,
    why_not,
)
from busyd.flow.occupancy import others_busy
from busyd.flow.orders import asked_again, require_changeable, used_hold
from busyd.flow.overrides import Override, lifted
from busyd.flow.primary import find_primary
from busyd.flow.requests import KeyedRequest, OutboxRequests, Told
from busyd.flow.waiting import AskedTwice, PromisedAnswer
from busyd.index.writer import IndexWriter
from busyd.period import Period, Span
from busyd.state.links import calendar_keys
from busyd.store.bookings import Booking, BookingKind, BookingState, Details, WantedChange, calendar_key
from busyd.store.errors import Overlaps
from busyd.store.outbox import Outbox


class Appointments(CarriedRows[AppointmentView]):
    """Makes, changes and cancels appointments."""

    kind = BookingKind.APPOINTMENT

    def __init__(
        self, requests: OutboxRequests, writer: IndexWriter, *, booker: Booker, answers: ProfileSource, clock: Clock
    ) -> None:
        super().__init__(requests, writer, booker=booker)
        self._answers = answers
        self._clock = clock

    async def add(
        self,
        asked: KeyedRequest,
        new: NewAppointment,
        *,
        render: Callable[[AppointmentView], Told | None] = lambda _: None,
    ) -> AppointmentView | Told:
        """Write an appointment. What `render` makes of it once it is booked is told, and kept by the same commit.

        Raises NoPrimary, ReadOnlyCalendar, NotOffered, HoldExpired, Unanswerable; NotProven and WriteRefused when
        nothing was written.
        """
        async with self._requests.deciding:
            known, uid = await self._requests.known_or_named(asked)
            if known is None:
                try:
                    row = await self._requests.decide(
                        asked.profile, lambda basis: self._accept(asked, new, uid=uid, basis=basis)
                    )
                except AskedTwice as twin:
                    known = twin.known
                except NotOffered:
                    known = await self._requests.known(asked)
                    if known is None:
                        raise
        if known is not None:
            return await self._asked_again(asked, known)
        promised = PromisedAnswer(asked, lambda booked: render(self._view(booked)))
        settled = await self._booker.settle(row, promised=promised)
        return promised.told or self._view(settled)

    async def _accept(
        self, asked: KeyedRequest, new: NewAppointment, *, uid: str, basis: DecisionBasis | None
    ) -> Booking:
        """Decide about a new appointment, and commit it if it is offered. To be called with `deciding` held.

        Raises AskedTwice, and Outdated.
        """
        profile_state = find_profile(self._writer.state, asked.profile)
        primary = find_primary(self._writer.state, profile_state)
        self._booker.require_connected(primary.connection)
        await self._requests.load_tables(asked.profile)
        row = Booking(
            id=secrets.token_hex(8),
            kind=self.kind,
            profile=asked.profile,
            state=BookingState.PENDING,
            span=new.span,
            created=asked.now,
            calendar=calendar_key(primary.connection, primary.remote.href),
            counts=tuple(sorted(calendar_keys(profile_state.links))),
            uid=uid,
            href=f"{primary.remote.target}{uid}.ics",
            forced=Override.BUSY in new.overrides,
            token=asked.token,
            details=new.details,
            hold=new.hold,
            overrides=new.overrides,
            organizer=organizer_of(self._writer.state, primary.connection) if new.invites else "",
            invited="pending" if new.invites else "",
        )
        offer = await self._require_offered(row, hold=new.hold)
        async with self._booker.looking_ahead(row):
            row = replace(row, body=await self._booker.compose(row))

            def work(outbox: Outbox) -> list[Booking]:
                if basis is not None:
                    basis.require_newest(outbox)
                ended = used_hold(outbox, new.hold, asked=asked)
                for hold in ended:
                    outbox.record(hold)
                outbox.add(row)
                return [row, *ended]

            try:
                known = await self._requests.change_once(asked, work)
            except Overlaps:
                raise await not_offered(self._answers, offer, why=WhyNot.SLOT_TAKEN, span=row.span) from None
            if known is not None:
                raise AskedTwice(known)
        return row

    async def change(self, asked: KeyedRequest, booking: str, *, changes: AppointmentChanges) -> AppointmentView | Told:
        """Move or edit an appointment. Raises UnknownBooking, NotCurrent, NotSettled, ChangeRefused, and as `add`."""
        row = await self._requests.find(asked, booking, kind=self.kind)
        if (known := await self._known(asked)) is not None:
            return known  # also of a twin that has changed the row
        if not changes.is_current(self._view(row)):
            message = "the appointment has changed since it was asked for"
            raise NotCurrent(message)
        require_changeable(row)
        span, details = changes.span(row.span), changes.details(row.details)
        if span == row.span and replace(details, metadata={}) == replace(row.details, metadata={}):
            kept = replace(row, details=details)
            return await self._commit(asked, row, changed=[kept]) or self._view(kept)
        await self._requests.load_tables(asked.profile)
        after = replace(row, span=span, details=details, sequence=row.sequence + 1)
        wanted = WantedChange(
            details,
            await self._booker.compose(after, with_guests=after.invited == "sent"),
            after.sequence,
            key=asked.key,
        )
        if span == row.span:
            edited = replace(row, wanted=wanted, reason="")
            known = await self._commit(asked, row, changed=[edited])
            return known or self._view(await self._settled_change(edited))
        claim = await self._claim(asked, after, overrides=changes.overrides)
        moving = replace(row, target=span, wanted=wanted, forced=row.forced or claim.forced, reason="")
        moving = applied(moving, Step(BookingEvent.MOVE), now=asked.now)

        async def move(basis: DecisionBasis | None) -> AppointmentView | Told | None:
            offer = await self._require_offered(claim)
            try:
                return await self._commit(asked, row, changed=[moving, claim], basis=basis)
            except Overlaps:
                raise await not_offered(self._answers, offer, why=WhyNot.SLOT_TAKEN, span=span) from None

        async with self._requests.deciding:
            try:
                known = await self._requests.decide(asked.profile, move)
            except NotOffered:
                known = await self._known(asked)  # a twin may have taken the time
                if known is None:
                    raise
        return known or self._view(await self._settled_change(moving))

    async def find(self, asked: KeyedRequest, booking: str) -> AppointmentView:
        """One appointment, also one that has ended. Raises UnknownBooking."""
        return self._view(await self._requests.find(asked, booking, kind=self.kind))

    async def touching(self, asked: KeyedRequest, window: Period) -> list[AppointmentView]:
        """The appointments that touch a window, in order; those that were cancelled, too."""
        return [self._view(row) for row in await self._requests.touching(asked, window, kind=self.kind)]

    async def instead_of(self, view: AppointmentView) -> Sequence[Period]:
        """What is open instead of the time of an appointment."""
        offer = offer_of(
            require_profile(self._answers, view.profile), view.span.end - view.span.start, now=self._clock.now()
        )
        return await find_alternatives(self._answers, offer, since=view.span.start)

    def _view(self, row: Booking) -> AppointmentView:
        record = self._booker.rows.calendar_of(row)
        calendar = record.label if record is not None else row.calendar.partition(" ")[0]
        return view_appointment(row, calendar=calendar, is_refused=row.id in self._writer.state.refused_writes)

    async def _asked_again(self, asked: KeyedRequest, known: Told | Booking) -> AppointmentView | Told:
        """The same, after what a restore has left open was sent after all."""
        if not isinstance(known, Booking):
            return known
        row, changed = known, list[Booking]()

        def work(outbox: Outbox) -> list[Booking]:
            changed[:] = [asked_again(row, outbox, now=asked.now)]
            return changed

        if known.state is BookingState.ATTENTION_RESTORED:
            await self._requests.change(work)
            known = await self._booker.settle(changed[0])
        return self._view(known)

    async def _commit(
        self, asked: KeyedRequest, row: Booking, *, changed: list[Booking], basis: DecisionBasis | None = None
    ) -> AppointmentView | Told | None:
        """Commit a row as it is to be, and its claim; what is known of a quicker twin.

        Raises NotSettled, Overlaps, Outdated.
        """

        def work(outbox: Outbox) -> list[Booking]:
            if basis is not None:
                basis.require_newest(outbox)
            if outbox.find(row.id) != row:
                message = "the appointment has just changed"
                raise NotSettled(message)
            outbox.record(changed[0])
            for claim in changed[1:]:
                outbox.add(claim)
            return changed

        return self._told(await self._requests.change_once(asked, work))

    async def _claim(self, asked: KeyedRequest, after: Booking, *, overrides: tuple[str, ...]) -> Booking:
        """The event that keeps the new time until the appointment is there: no guests, and a name of its own."""
        name = f"{asked.key}\n{secrets.token_hex(8)}"
        uid = await self._requests.read(lambda outbox: outbox.uid_for(asked.profile, name))
        details = after.details
        claim = Booking(
            id=secrets.token_hex(8),
            kind=BookingKind.CLAIM,
            profile=after.profile,
            state=BookingState.PENDING,
            span=after.span,
            created=asked.now,
            calendar=after.calendar,
            counts=tuple(sorted(calendar_keys(find_profile(self._writer.state, after.profile).links))),
            uid=uid,
            href=f"{after.href.rpartition('/')[0]}/{uid}.ics",
            parent=after.id,
            forced=Override.BUSY in overrides,
            token=asked.token,
            details=Details(details.summary, location=details.location, classification=details.classification),
            overrides=overrides,
        )
        return replace(claim, body=await self._booker.compose(claim))

    async def _require_offered(self, row: Booking, *, hold: str = "") -> Offer:
        """What is offered, if a row is. Raises NotOffered, NotProven, Unanswerable."""
        ignored = {row.id, row.parent, hold} - {""}
        offer = offer_of(
            require_profile(self._answers, row.profile), row.span.end - row.span.start, now=row.created, ignored=ignored
        )
        offered = lifted(offer, row.overrides)
        window = offered.shape.reach(row.span)
        answer = await self._answers.freebusy(row.profile, window)
        require_understood(answer)
        if not answer.gaps_are_free:
            message = f"not all calendars of {row.profile} have been read yet"
            raise NotProven(message)
        busy: Sequence[Span] = ()
        if not row.forced:
            own = self._writer.state.own.of(row.profile)
            uids = {row.uid, *(one.uid for one in own if one.id == row.parent)}
            profile_state = find_profile(self._writer.state, row.profile)
            busy = await others_busy(self._writer, profile_state, window=window, uids=uids, rows=ignored)
        why = why_not(offered, row.span, busy=busy)
        if why is not None:
            raise await not_offered(self._answers, offer, why=why, span=row.span)
        return offer
