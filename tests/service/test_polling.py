"""What the polling of a connection leaves behind for those who ask how it goes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

import busyd.service.polling
from busyd.availability.profile import Profile
from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind, Privacy
from busyd.credentials import FromFile, Secret
from busyd.flow.ask import NotConfirmed
from busyd.flow.reload import ReloadRequests
from busyd.index.privacy import follow_privacy
from busyd.index.writer import IndexWriter
from busyd.period import Instant
from busyd.service.polling import Polling
from busyd.state.privacy import kept_mark
from busyd.state.state import State
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from tests.index.inside import ANNA, Inside, StoppedClock, at, ref, timed, window
from tests.remote.stage import Request, raw_server, reply


class QuietClock(StoppedClock):
    """Nothing becomes due by itself."""

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
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
        await inside.state.reconfigure([feed], [Profile("anna", conflicts=(ref("feed"),))])
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
        await inside.state.reconfigure([feed], [Profile("anna")])
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        await polling.follow({"feed": ConnectionConfig(feed, None)})
        assert await polling.schedules["feed"].poll_now()
        assert (server.requests, inside.state.connections["feed"].last_poll) == ([], None)
        await inside.state.reconfigure([feed], [Profile("anna", conflicts=(ref("feed"),))])
        assert await polling.schedules["feed"].poll_now()
        assert inside.state.connections["feed"].last_poll == inside.clock.now()
        await polling.close()


async def test_who_asks_for_a_poll_during_the_start_has_every_connection_polled(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(200, timed("a", "20260601T090000Z", "20260601T100000Z"))) as server:
        good = Connection("good", ConnectionKind.ICS, f"{server.url}/f.ics")
        odd = Connection("odd", ConnectionKind.ICS, f"{server.url}/f.ics")
        await inside.state.reconfigure([good, odd], [Profile("anna", conflicts=(ref("good"),))])
        inside.backend.reloads = ReloadRequests()
        syncing = asyncio.create_task(inside.backend.sync_now(lambda _: None))
        asking = asyncio.create_task(inside.backend.freebusy("anna", window("2026-06-01", "2026-06-02"), max_age=60))
        await asyncio.sleep(0)
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        inside.backend.schedules = polling.schedules
        async with asyncio.timeout(60):
            await polling.follow({"good": ConnectionConfig(good, None)})  # the other one cannot even be tried
            inside.backend.reloads.started()
            assert await syncing == ["odd"]
            assert [span.start for span in (await asking).busy] == [at("2026-06-01T09:00")]
            await polling.close()


async def test_what_is_stored_of_many_connections_is_looked_up_at_once(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = [replace(ANNA, name=f"c{number}", privacy=Privacy.BUSY) for number in range(40)]
    state = State(connections, (), machine_zone="UTC")
    writer = IndexWriter(inside.store, state, clock=inside.clock, publisher=inside.publisher)
    await follow_privacy(writer, list(state.connections))
    reads, read = [], Store._read

    async def counted(store: Store, work: Callable[[Transaction], object]) -> object:
        reads.append(work)
        return await read(store, work)

    monkeypatch.setattr(Store, "_read", counted)
    await follow_privacy(writer, list(state.connections))
    assert len(reads) == 1
    assert await inside.store.read_metas("kept:c1") == {
        f"kept:{name}": kept_mark(state, name) for name in state.connections if name.startswith("c1")
    }


async def test_a_connection_that_does_not_answer_holds_up_no_other(inside: Inside, tmp_path: Path) -> None:
    asked, read = asyncio.Event(), asyncio.Event()

    def hang(_: Request) -> None:
        asked.set()

    def answer(_: Request) -> bytes:
        read.set()
        return reply(200, timed("a", "20260601T090000Z", "20260601T100000Z"))

    async with raw_server(hang) as slow, raw_server(answer) as quick:
        feeds = [
            Connection(name, ConnectionKind.ICS, f"{server.url}/f.ics") for name, server in (("a", slow), ("b", quick))
        ]
        await inside.state.reconfigure(feeds, [Profile(one.name, conflicts=(ref(one.name),)) for one in feeds])
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        inside.backend.schedules = polling.schedules
        async with asyncio.timeout(60):
            await polling.follow({feed.name: ConnectionConfig(feed, None) for feed in feeds})
            await asked.wait()
            assert await polling.schedules["b"].poll_now()
            read.clear()
            syncing = asyncio.create_task(inside.backend.sync_now(lambda _: None))
            await read.wait()  # although the first of both is still being waited for
            waiting = asyncio.create_task(inside.backend.freebusy("a", window("2026-06-01", "2026-06-02"), max_age=0))
            inside.clock.instant = Instant(inside.clock.instant + 1)
            answer_of_b = await inside.backend.freebusy("b", window("2026-06-01", "2026-06-02"), max_age=60)
            assert [span.start for span in answer_of_b.busy] == [at("2026-06-01T09:00")]
            assert not (syncing.done() or waiting.done())
            await polling.follow({"b": ConnectionConfig(feeds[1], None)})  # a reload takes the slow one away
            with pytest.raises(NotConfirmed):
                await waiting
            assert await syncing == ["a"]
            await polling.close()


async def test_passwords_on_a_file_system_that_hangs_keep_nothing_else_from_going_on(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging, back, loop = asyncio.Semaphore(0), threading.Event(), asyncio.get_running_loop()

    def hang(*_: object, **__: object) -> Secret:
        loop.call_soon_threadsafe(hanging.release)
        back.wait()
        return Secret("abcd")

    monkeypatch.setattr(busyd.service.polling, "read_password", hang)
    names = [f"feed{number}" for number in range(40)]  # more than asyncio has threads
    feeds = [Connection(name, ConnectionKind.ICS, f"http://127.0.0.1:1/{name}.ics", "anna") for name in names]
    await inside.state.reconfigure(feeds, [Profile("anna", conflicts=tuple(map(ref, names)))])
    polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
    await polling.follow({feed.name: ConnectionConfig(feed, FromFile(tmp_path / "password")) for feed in feeds})
    try:
        async with asyncio.timeout(60):
            for _ in names:
                await hanging.acquire()
            assert await asyncio.to_thread(lambda: "somebody else's work") == "somebody else's work"
            await polling.close()
    finally:
        back.set()


async def test_an_ordinary_password_is_never_sent_to_apple_and_a_better_one_is_noticed(
    inside: Inside, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("Hunter2-is-mine")
    async with raw_server(lambda _: reply(401)) as server:
        anna = Connection("anna", ConnectionKind.ICLOUD, server.url, "anna")
        await inside.state.reconfigure([anna], [Profile("anna", conflicts=(ref("anna/Work"),))])
        polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=tmp_path, on_change=lambda: None)
        await polling.follow({"anna": ConnectionConfig(anna, FromFile(tmp_path / "password"))})
        assert not await polling.schedules["anna"].poll_now()
        state = inside.state.connections["anna"]
        assert (server.connections, state.has_other_password) == (0, True)
        assert "create an app-specific password" in state.trouble
        assert "Hunter2" not in state.trouble
        (tmp_path / "password").write_text("abcd-efgh-ijkl-mnop")
        assert not await polling.schedules["anna"].poll_now()
        assert server.connections > 0
        assert not state.has_other_password
        await polling.close()
