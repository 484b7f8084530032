"""A connection that another daemon polls: what is taken for proved when that has polled it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from busyd.availability.profile import Profile
from busyd.clock import Now
from busyd.service.followed_connection import FollowedConnection
from tests.index.inside import HOME, WORK, Inside, StoppedClock, at, ref

PROFILES = (Profile("anna", timezone="UTC", primary=ref("anna/Work"), conflicts=(ref("anna/Home"),)),)


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31"), 0.5), profiles=PROFILES)
    await inside.show(WORK, HOME)
    yield inside
    inside.close()


async def test_what_a_poll_in_the_same_second_had_proved_before_it_was_asked_for_is_not_proved_since(
    inside: Inside,
) -> None:
    """The poll that was asked for could not prove one of the calendars, of which it says nothing."""
    state, clock = inside.state.connections["anna"], inside.clock
    began = Now(clock.now(), clock.monotonic() - 0.4)
    state.asked = began

    async def poll() -> None:
        records = [replace(one, as_of=began.wall, complete=True) for one in await inside.store.read_calendars()]
        await inside.publisher.confirm(records)

    async def ask(_: str) -> bool:
        await poll()
        state.proved_last = (inside.record(WORK).id,)
        return True

    await poll()
    followed = FollowedConnection("anna", inside.state, clock=clock, ask=ask)
    assert await followed.look()
    now = Now(clock.now(), clock.monotonic())
    ages = [inside.state.proofs.age_of(inside.record(calendar), now) for calendar in (WORK, HOME)]
    assert ages == [0.0, pytest.approx(0.4)]
    assert set(state.proved) == {inside.record(WORK).id}
