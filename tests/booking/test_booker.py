"""The whole way of a booking, in virtual time: what the daemon does after what a server or a person has done."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.flow.appointment_requests import NewAppointment
from busyd.flow.appointment_view import AppointmentView
from busyd.flow.membership import NotProven
from busyd.flow.requests import KeyedRequest, Told
from busyd.period import Instant, Period
from busyd.store.bookings import Details
from tests.booking.world import DAY, POLL, Trap, World

SPAN = Period(Instant(DAY + 36_000), Instant(DAY + 37_800))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.pass_time(2 * POLL)
    yield world
    world.close()


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


def test_what_a_twin_was_told_of_is_not_taken_back(world: World) -> None:
    world.network.traps.extend([Trap("lost", of_reads=True)] * 4)
    first = world.loop.create_task(book(world))
    world.pass_time(0.05)
    twin = world.loop.run_until_complete(book(world))
    assert twin.state == "pending"
    told = world.loop.run_until_complete(first)
    assert (told.id, told.state) == (twin.id, "booked")
