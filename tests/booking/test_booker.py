"""The whole way of a booking, in virtual time: what the daemon does after what a server or a person has done."""

import asyncio
from functools import partial

import pytest
from msgspec.structs import replace

from busyd.booking.applying import WriteRefused
from busyd.flow.appointment_requests import NewAppointment
from busyd.flow.appointment_view import AppointmentView
from busyd.flow.membership import NotOffered, NotProven
from busyd.flow.orders import take_back
from busyd.flow.requests import KeyedRequest, OutboxRequests, Told
from busyd.period import Instant, Period
from busyd.store.bookings import Booking, BookingState, Details, calendar_key
from busyd.store.errors import StorageError
from tests.booking.world import DAY, POLL, Trap, World

SPAN = Period(Instant(DAY + 36_000), Instant(DAY + 37_800))


async def book(world: World, key: str = "k", span: Period = SPAN) -> AppointmentView:
    asked = KeyedRequest("anna", world.loop.now(), key=key, fingerprint=b"", token="t")
    told = await world.backend.appointments.add(asked, NewAppointment(span, Details("Intro call")))
    assert not isinstance(told, Told)
    return told


def test_what_was_taken_back_before_it_was_sent_is_not_asked_for(world: World) -> None:
    world.network.traps.extend([Trap("lost", of_reads=True)] * 4)
    with pytest.raises(NotProven):
        world.loop.run_until_complete(book(world))
    world.network.traps.clear()
    world.pass_time(POLL)
    assert world.backend.booker.troubles == {}
    assert world.loop.run_until_complete(book(world)).state == "booked"


def test_what_is_told_of_a_booking_is_kept_by_the_commit_that_books_it(world: World) -> None:
    def render(view: AppointmentView) -> Told | None:
        return Told(201, b"the answer", view.id) if view.state == "booked" else None

    asked = KeyedRequest("anna", world.loop.now(), key="k", fingerprint=b"", token="t")
    new = NewAppointment(SPAN, Details("Intro call"))
    booking = world.loop.create_task(world.backend.appointments.add(asked, new, render=render))
    while not any(row.state is BookingState.BOOKED for row in world.rows()):
        assert not booking.done()
        world.pass_time(0.01)
    world.restart()
    told = world.loop.run_until_complete(world.backend.appointments.add(asked, new))
    assert told == Told(201, b"the answer", world.rows()[0].id)


def test_what_a_twin_was_told_of_is_not_taken_back(world: World) -> None:
    world.network.traps.append(Trap("lost", of_reads=True))
    first = world.loop.create_task(book(world))
    world.pass_time(0.05)
    twin = world.loop.run_until_complete(book(world))
    assert twin.state == "pending"
    told = world.loop.run_until_complete(first)
    assert (told.id, told.state) == (twin.id, "booked")


def test_what_a_twin_was_told_of_by_another_daemon_is_not_taken_back(world: World) -> None:
    world.network.traps.append(Trap("lost", of_reads=True))
    first = world.loop.create_task(book(world))
    world.pass_time(0.05)
    other = OutboxRequests(world._writer, world._thread)
    other.shown_upto = lambda: 0
    twin = world.loop.run_until_complete(other.known(KeyedRequest("anna", world.loop.now(), key="k", token="t")))
    assert isinstance(twin, Booking)
    told = world.loop.run_until_complete(first)
    assert (told.id, told.state) == (twin.id, "booked")
    assert world.ledger.outbox(lambda outbox: outbox.was_told(twin))
    world.ledger.outbox(lambda outbox: outbox.forget_keys(world.loop.now()))
    assert not world.ledger.outbox(lambda outbox: outbox.was_told(twin))


def as_one_of_several(world: World) -> None:
    """The daemon shares its ledger, and carries on what others have accepted."""
    world.backend.requests.shown_upto = lambda: 0
    world.backend.requests._basis = lambda _: None  # type: ignore[method-assign,assignment] # no file numbers writes


def accepted_by_another(world: World) -> Booking:
    """A booking as another daemon has committed it, which waits for what comes of it."""
    booker = world.backend.booker
    booker.is_own = lambda _: False
    waiting = world.loop.create_task(book(world))
    world.pass_time(0.05)
    waiting.cancel()
    (row,) = world.rows()
    booker.is_own = lambda _: True
    return row


def test_what_another_daemon_has_accepted_is_taken_back_while_nobody_was_told_of_it(world: World) -> None:
    as_one_of_several(world)
    row = accepted_by_another(world)
    world.network.traps.extend([Trap("lost", of_reads=True)] * 4)
    world.loop.call_soon(world.backend.booker.follow, row)
    world.pass_time(2)
    (taken_back,) = world.rows()
    assert (taken_back.state, taken_back.reason) == (BookingState.CANCELLED, "not-proven")


def test_whoever_waits_at_another_daemon_is_told_why_it_was_taken_back(world: World) -> None:
    as_one_of_several(world)
    booker = world.backend.booker
    booker.is_own = lambda _: False
    told = {"not-proven": NotProven, "refused-by-server 507": WriteRefused}
    for number, (reason, error) in enumerate(told.items()):
        span = Period(Instant(SPAN.start + 3600 * number), Instant(SPAN.end + 3600 * number))
        waiting = world.loop.create_task(book(world, f"k{number}", span))
        world.pass_time(0.05)
        row = next(one for one in world.rows() if one.blocks)
        world.ledger.outbox(partial(take_back, name=row.id, now=row.created, reason=reason))
        world.loop.call_soon(booker.follow, next(one for one in world.rows() if one.id == row.id))
        with pytest.raises(error):
            world.loop.run_until_complete(waiting)


def test_what_somebody_was_told_of_is_not_taken_back_by_any_daemon(world: World) -> None:
    as_one_of_several(world)
    booker = world.backend.booker
    booker.is_own = lambda _: False
    assert world.loop.run_until_complete(book(world)).state == "pending"
    booker.is_own = lambda _: True
    world.network.traps.extend([Trap("lost", of_reads=True)] * 4)
    world.loop.call_soon(booker.follow, world.rows()[0])
    world.pass_time(60)
    assert [row.state for row in world.rows()] == [BookingState.BOOKED]


def test_nothing_is_booked_by_a_daemon_that_does_not_count_all_calendars_that_were_counted(world: World) -> None:
    as_one_of_several(world)
    row = accepted_by_another(world)
    more = replace(row, counts=(*row.counts, calendar_key("ben", "/1/calendars/work/")))
    world.ledger.outbox(lambda outbox: outbox.record(more))
    world.loop.call_soon(world.backend.booker.follow, more)
    world.pass_time(2)
    assert [(one.state, one.reason) for one in world.rows()] == [(BookingState.CANCELLED, "not-proven")]
    assert world.work.get(f"{row.uid}.ics") is None


def test_a_row_that_is_let_go_before_its_work_begins_is_carried_on_when_it_comes_back(world: World) -> None:
    as_one_of_several(world)
    row, booker = accepted_by_another(world), world.backend.booker

    async def let_go_at_once() -> None:
        booker.follow(row)
        booker.is_own = lambda _: False
        await booker.let_go()
        assert not booker.is_busy("anna")
        booker.is_own = lambda _: True
        booker.follow(row)

    world.loop.run_until_complete(let_go_at_once())
    world.pass_time(2)
    assert [one.state for one in world.rows()] == [BookingState.BOOKED]


def test_a_look_from_before_a_row_was_let_go_proves_nothing_when_it_comes_back(world: World) -> None:
    as_one_of_several(world)
    booker = world.backend.booker
    row = accepted_by_another(world)

    async def look(seconds: float) -> object:
        async with booker.looking_ahead(row):
            await asyncio.sleep(seconds)
        return booker._ahead.take(row.id)

    async def lose_it() -> object:
        async with booker.looking_ahead(row):
            booker.is_own = lambda _: False
        booker.carry_on(row)
        return booker._ahead.take(row.id)

    assert world.loop.run_until_complete(look(1)) is not None
    assert world.loop.run_until_complete(look(6)) is None
    assert world.loop.run_until_complete(lose_it()) is None


def test_what_a_commit_ran_into_is_told_though_its_look_was_taken_meanwhile(world: World) -> None:
    row, booker = accepted_by_another(world), world.backend.booker

    async def fail() -> None:
        async with booker.looking_ahead(row):
            booker._ahead.take(row.id)
            raise StorageError("the disk is full")

    with pytest.raises(StorageError):
        world.loop.run_until_complete(fail())


def busy(world: World, window: Period) -> list[tuple[int, int]]:
    told = world.loop.run_until_complete(world.backend.freebusy("anna", window))
    assert told.complete
    return [(start, end) for start, end, _ in told.spans]


def test_what_lasts_a_thousand_days_is_busy_on_all_of_them_and_can_be_cancelled(world: World) -> None:
    long = Period(SPAN.start, Instant(SPAN.start + 1000 * 86_400))
    made = world.loop.run_until_complete(book(world, span=long))
    assert made.state == "booked"
    last = Period(Instant(long.end - 7200), Instant(long.end + 7200))
    for _ in range(2):
        assert busy(world, last) == [(last.start, long.end)]
        with pytest.raises(NotOffered):
            world.loop.run_until_complete(book(world, "other", Period(Instant(long.end - 1800), long.end)))
        world.restart()
        world.pass_time(2 * POLL)
    assert world.loop.run_until_complete(cancel(world, made.id)).state == "cancelled"
    world.pass_time(4 * POLL)
    assert busy(world, last) == []


async def cancel(world: World, booking: str) -> AppointmentView:
    asked = KeyedRequest("anna", world.loop.now(), key=f"cancel {booking}", fingerprint=b"", token="t")
    told = await world.backend.appointments.cancel(asked, booking, reason="")
    assert not isinstance(told, Told)
    return told


def test_what_a_person_makes_a_thousand_days_long_is_followed(world: World) -> None:
    made = world.loop.run_until_complete(book(world))
    name = f"{made.uid}.ics"
    stored = world.work.get(name)
    assert stored is not None
    world.work.put(name, stored.text.replace("DTEND:20260701T103000Z", "DTEND:20290327T103000Z"))
    world.pass_time(2 * POLL)
    asked = KeyedRequest("anna", world.loop.now(), token="t")
    told = world.loop.run_until_complete(world.backend.appointments.find(asked, made.id))
    assert (told.span.end, told.changed_elsewhere) == (SPAN.end + 1000 * 86_400, "moved")
    last = Period(Instant(told.span.end - 7200), Instant(told.span.end + 7200))
    assert busy(world, last) == [(last.start, told.span.end)]


def test_a_poll_that_began_before_what_is_written_does_not_lose_it_again(world: World) -> None:
    href = "/300000001/calendars/work/"
    for number in range(12):
        span = Period(Instant(SPAN.start + 1800 * number), Instant(SPAN.end + 1800 * number))
        polled = world.loop.create_task(world.schedule.poll_now())
        world.pass_time(0.07 * number)
        made = world.loop.run_until_complete(book(world, f"k{number}", span))
        for _ in range(3):
            assert f"{href}{made.uid}.ics" in world.mirrored("work")
            world.loop.run_until_complete(polled)
            polled = world.loop.create_task(world.schedule.poll_now())
        world.loop.run_until_complete(polled)
    assert world.mirrored("work") == {f"{href}{one.name}": one.etag for one in world.work.objects().values()}
