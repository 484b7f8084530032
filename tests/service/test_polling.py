"""What the polling of a connection leaves behind for those who ask how it goes."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind
from busyd.service.polling import Polling
from tests.index.inside import Inside, StoppedClock, at, ref, timed
from tests.remote.stage import Request, raw_server, reply


class QuietClock(StoppedClock):
    """Nothing becomes due by itself."""

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.Event().wait()


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    made = Inside(tmp_path, QuietClock(at("2026-06-01")), profiles=[Profile("anna", conflicts=(ref("feed"),))])
    yield made
    made.close()


async def test_requests_for_a_feed_are_counted_redirects_included(inside: Inside, tmp_path: Path) -> None:
    def answer(request: Request) -> bytes:
        if request.path == "/f.ics":
            return reply(302, b"", "Location: /g.ics")
        return reply(200, timed("a", "20260601T090000Z", "20260601T100000Z"))

    async with raw_server(answer) as server:
        feed = Connection("feed", ConnectionKind.ICS, f"{server.url}/f.ics", poll=timedelta(hours=1))
        inside.state.reconfigure([feed], [Profile("anna", conflicts=(ref("feed"),))])
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        await polling.follow({"feed": ConnectionConfig(feed, None)})
        assert await polling.schedules["feed"].poll_now()
        assert inside.state.connections["feed"].requests == len(server.requests) == 2
        await polling.close()


async def test_a_feed_that_no_profile_uses_is_neither_asked_nor_said_to_be_polled(
    inside: Inside, tmp_path: Path
) -> None:
    async with raw_server(lambda _: reply(200, timed("a", "20260601T090000Z", "20260601T100000Z"))) as server:
        feed = Connection("feed", ConnectionKind.ICS, f"{server.url}/f.ics", poll=timedelta(hours=1))
        inside.state.reconfigure([feed], [Profile("anna")])
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        await polling.follow({"feed": ConnectionConfig(feed, None)})
        assert await polling.schedules["feed"].poll_now()
        assert (server.requests, inside.state.connections["feed"].last_poll) == ([], None)
        inside.state.reconfigure([feed], [Profile("anna", conflicts=(ref("feed"),))])
        assert await polling.schedules["feed"].poll_now()
        assert inside.state.connections["feed"].last_poll == inside.clock.now()
        await polling.close()
