"""A refused login is tried seldom, whoever asks and however often the daemon is started; another password at once."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.config import ConnectionConfig
from busyd.connection import Connection, ConnectionKind
from busyd.credentials import FromCredential, FromFile, PasswordSource, Secret
from busyd.credentials.store import CredentialStore
from busyd.period import Instant
from busyd.progress import Progress
from busyd.service.polling import Polling
from busyd.service.refused_logins import FILE, RefusedLogins
from tests.index.inside import Inside, StoppedClock, at, ref
from tests.remote.stage import RawServer, raw_server, reply

MINUTE = 60.0


class HandClock(StoppedClock):
    """Nothing that waits goes on by itself; the test says when it is later."""

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            await asyncio.Event().wait()


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    profile = Profile("anna", conflicts=(ref("anna/Work"),))
    made = Inside(tmp_path, HandClock(at("2026-06-01")), profiles=[profile])
    (tmp_path / "password").write_text("abcd-efgh-ijkl-mnop")
    yield made
    made.close()


class Daemon:
    """Polls one connection whose server refuses every login; may be started over."""

    def __init__(
        self, inside: Inside, folder: Path, *, server: RawServer, source: PasswordSource | None = None
    ) -> None:
        self.inside = inside
        self.folder = folder
        self.server = server
        self.source = source or FromFile(folder / "password")
        self.connection = Connection("anna", ConnectionKind.CALDAV, server.url, "anna")
        self.polling: Polling | None = None

    async def start(self) -> None:
        if self.polling is not None:
            await self.polling.close()
        inside, folder = self.inside, self.folder
        await inside.state.reconfigure([self.connection], [Profile("anna", conflicts=(ref("anna/Work"),))])
        self.polling = Polling(inside.writer, inside.ledger, clock=inside.clock, folder=folder, on_change=lambda: None)
        await self.polling.follow({"anna": ConnectionConfig(self.connection, self.source)})

    async def tries(self, how: str) -> int:
        """How many requests arrive when somebody asks in this way."""
        assert self.polling is not None
        before = len(self.server.requests)
        match how:
            case "sync --now":
                await self.polling.schedules["anna"].poll_now(_ignore)
            case "reload":
                await self.polling.read_what_is_new()
            case "max_age":
                await self.polling.schedules["anna"].check_now()
            case "in turn":
                await self.polling.schedules["anna"].poll_now()
            case "restart":
                await self.start()
                await self.polling.schedules["anna"].poll_now()
        return len(self.server.requests) - before

    def later(self, seconds: float) -> None:
        self.inside.clock.instant = Instant(self.inside.clock.instant + math.ceil(seconds))


def _ignore(progress: Progress) -> None:
    del progress


async def refused_for_good(daemon: Daemon) -> None:
    """Four refusals, the first of them at the start."""
    await daemon.start()
    for wait in (0.0, 6.1, 72.1, 720.1):
        daemon.later(wait)
        assert await daemon.tries("in turn") > 0


async def test_nothing_but_a_person_adds_a_try_and_that_seldom(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await refused_for_good(daemon)
        assert [await daemon.tries(how) for how in ("max_age", "in turn", "restart")] == [0, 0, 0]
        assert await daemon.tries("sync --now") > 0
        assert await daemon.tries("reload") == 0
        daemon.later(15 * MINUTE)
        assert await daemon.tries("reload") > 0
        assert await daemon.tries("sync --now") == 0
        assert daemon.polling is not None
        await daemon.polling.close()


async def test_added_tries_do_not_put_off_the_regular_ones(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await refused_for_good(daemon)
        daemon.later(30 * MINUTE)
        assert await daemon.tries("sync --now") > 0
        daemon.later(30 * MINUTE)
        assert await daemon.tries("in turn") > 0
        daemon.later(4.9 * 3600)
        assert await daemon.tries("in turn") == 0
        daemon.later(0.1 * 3600)
        assert await daemon.tries("in turn") > 0
        assert daemon.polling is not None
        await daemon.polling.close()


async def test_a_daemon_that_is_started_over_and_over_tries_no_more_often(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await daemon.start()
        assert await daemon.tries("restart") > 0
        for wait in (5, 60, 600, 3600, 5 * 3600, 24 * 3600, 24 * 3600):
            daemon.later(wait / 2)
            assert await daemon.tries("restart") == 0
            daemon.later(wait * 0.7 + 1)
            assert await daemon.tries("restart") > 0
        assert daemon.polling is not None
        await daemon.polling.close()


async def test_a_stored_password_that_is_told_to_have_changed_is_tried_at_once(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        store = CredentialStore(tmp_path, {})
        store.set("work", Secret("abcd-efgh-ijkl-mnop"))
        daemon = Daemon(inside, tmp_path, server=server, source=FromCredential("work"))
        await refused_for_good(daemon)
        store.set("work", Secret("wxyz-wxyz-wxyz-wxyz"))
        before = len(server.requests)
        assert daemon.polling is not None
        for names in ({"other"}, {"work"}):
            assert len(server.requests) == before
            daemon.polling.take_secrets(names)
            await asyncio.gather(*daemon.polling._trying)
        assert len(server.requests) > before
        await daemon.polling.close()


async def test_another_password_is_tried_at_once_also_after_a_restart(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await refused_for_good(daemon)
        (tmp_path / "password").write_text("wxyz-wxyz-wxyz-wxyz")
        assert await daemon.tries("restart") > 0
        (tmp_path / "password").write_text("zzzz-wxyz-wxyz-wxyz")
        daemon.later(5)  # for those who ask at once share one check
        assert await daemon.tries("max_age") > 0
        assert daemon.polling is not None
        await daemon.polling.close()


async def test_after_a_restart_the_refusal_is_told_though_nothing_is_sent(inside: Inside, tmp_path: Path) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await refused_for_good(daemon)
        assert await daemon.tries("restart") == 0
        assert "refused the login" in inside.state.connections["anna"].trouble
        assert daemon.polling is not None
        await daemon.polling.close()


async def test_the_file_does_not_hold_the_password_and_a_damaged_one_is_no_obstacle(
    inside: Inside, tmp_path: Path
) -> None:
    async with raw_server(lambda _: reply(401)) as server:
        daemon = Daemon(inside, tmp_path, server=server)
        await daemon.start()
        await daemon.tries("in turn")
        file = tmp_path / FILE
        assert file.stat().st_mode & 0o777 == 0o600
        assert b"abcd" not in file.read_bytes()
        known = RefusedLogins(tmp_path).get("anna")
        assert known is not None
        assert known.is_of(daemon.connection, Secret("abcd-efgh-ijkl-mnop"))
        assert not known.is_of(daemon.connection, Secret("abcd-efgh-ijkl-mnoq"))
        file.write_bytes(b"{]")
        assert RefusedLogins(tmp_path).get("anna") is None
        assert daemon.polling is not None
        await daemon.polling.close()
