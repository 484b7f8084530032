"""Whatever a credential source runs into, the polling of its connection goes on."""

import asyncio
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.dav.errors import LoginRefused
from busyd.errors import UserError
from busyd.service.schedule import PollSchedule
from busyd.sync.context import PollContext
from tests.index.inside import Inside, StoppedClock, at


async def test_a_password_that_cannot_be_read_does_not_end_the_polling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = Inside(tmp_path, StoppedClock(at("2026-05-31T12:00")), profiles=[Profile("anna")])
    context = PollContext(inside.state.connections["anna"], None, None, inside.writer, inside.ledger, inside.clock)  # type: ignore[arg-type]
    asked = asyncio.Event()

    async def refused(*_: object, **__: object) -> None:
        raise LoginRefused("caldav.icloud.com")

    async def unreadable() -> bool:
        asked.set()
        raise UserError("the password file cannot be read", fix="make it readable")

    monkeypatch.setattr("busyd.service.schedule.poll_connection", refused)
    schedule = PollSchedule(context, has_another_password=unreadable)
    going_on = asyncio.create_task(schedule.run())
    await asyncio.wait([going_on, asyncio.create_task(asked.wait())], return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ended = going_on.done()
    going_on.cancel()
    await asyncio.gather(going_on, return_exceptions=True)
    inside.close()
    assert not ended
