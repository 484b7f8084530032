"""What counts as a proof that nobody else has the time: each calendar, asked after the write, and nothing older."""

from collections.abc import Callable

from busyd.dav.exchange import DavRequest, DavResponse
from busyd.period import Instant, Period
from tests.booking.test_booker import SPAN, book, busy
from tests.booking.world import DAY, ON_THE_WAY, POLL, World
from tests.journey.scheduler import event


def answering(world: World, change: Callable[[DavRequest, DavResponse], DavResponse]) -> None:
    """Have every answer pass through this."""
    send = world.network.send

    async def changed(request: DavRequest) -> DavResponse:
        return change(request, await send(request))

    world.network.send = changed  # type: ignore[method-assign]


def add_another(world: World, calendar: str) -> None:
    world.account.calendars[calendar].put("s.ics", event("PHONE-1", SPAN.start))


def test_a_calendar_that_the_second_listing_has_with_a_fault_proves_nothing(world: World) -> None:
    def fault(request: DavRequest, response: DavResponse) -> DavResponse:
        if request.method == "PUT":
            world.account.knobs.listing_fails = {"home"}
            add_another(world, "home")
        return response

    answering(world, fault)
    assert world.loop.time() % 1 == 0
    assert world.loop.run_until_complete(book(world)).state == "pending"
    world.account.knobs.listing_fails = set()
    world.pass_time(4 * POLL)
    assert [row.state.value for row in world.rows()] == ["refused"]


def test_what_a_look_shows_counts_although_the_listing_beside_it_is_from_before(world: World) -> None:
    before: list[DavResponse] = []

    def lag(request: DavRequest, response: DavResponse) -> DavResponse:
        if request.method == "PUT":
            add_another(world, "work")
        if request.method != "PROPFIND":
            return response
        before.append(response)
        return before[0]

    answering(world, lag)
    assert world.loop.run_until_complete(book(world)).state == "refused"


def test_what_lags_behind_its_token_is_seen_also_while_bookings_do_not_cease(world: World) -> None:
    world.account.knobs.lag_seconds, world.account.knobs.lag_token_ahead = 5.0, True
    other = Instant(DAY + 79_200)
    world.work.put("s.ics", event("PHONE-1", other))
    for number in range(12):
        start = Instant(DAY + 3600 * number)
        told = world.loop.run_until_complete(book(world, str(number), Period(start, Instant(start + 1800))))
        assert told.state in ("booked", "pending")
        world.pass_time(10)
    assert (other, other + 1800) in busy(world, Period(other, Instant(other + 3600)))


def test_a_booking_takes_three_round_trips_also_while_bookings_do_not_cease(world: World) -> None:
    for number in range(1, 21):
        world.work.put(f"{number}.ics", event(f"OLD-{number}", DAY - 3600 * number))
    world.pass_time(2 * POLL)
    for number in range(8):
        start, began = Instant(DAY + 3600 * number), world.loop.time()
        told = world.loop.run_until_complete(book(world, str(number), Period(start, Instant(start + 1800))))
        assert (told.state, round((world.loop.time() - began) / (2 * ON_THE_WAY), 3)) == ("booked", 3)
        world.pass_time(10)


def test_a_poll_that_joins_the_look_of_a_booking_tells_what_that_has_seen(world: World) -> None:
    assert world.loop.run_until_complete(book(world)).state == "booked"
    world.pass_time(60 - world.loop.time() % POLL + 1)  # the late look is over, and a poll has just been
    add_another(world, "work")
    looked = world.loop.create_task(world.schedule.look())
    world.pass_time(0.05)
    world.loop.run_until_complete(world.schedule.poll_now())
    assert looked.done()
    world.pass_time(1)
    assert [row.conflict for row in world.rows()] == [True]
