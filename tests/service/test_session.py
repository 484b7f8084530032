"""The session of a daemon in a shared database: its thread waits for hints, and works in between."""

import asyncio
from functools import partial
from pathlib import Path

import pytest

from busyd.service.session import DaemonSession
from busyd.store.errors import SessionEnded
from busyd.store.postgresql.storage import PostgresStorage
from tests.postgres import OWNER, PostgresServer


async def test_a_session_that_has_ended_is_not_given_up_before_another_can_be_begun(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    storage = PostgresStorage(postgres.new_database(), beside=tmp_path / "ledger.sqlite3")
    session, name = DaemonSession(storage, name="one", address=""), storage.server.database
    try:
        with postgres.connect("postgres") as connection, postgres.connect(name) as own:
            own.execute("DELETE FROM fleet.session")
            connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only=on".encode())
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename=%s", (OWNER,))
            ending = asyncio.create_task(session.renew())
            while not session.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert "read-only" in session.trouble
            assert not ending.done()
            connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only".encode())
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename=%s", (OWNER,))
        with pytest.raises(SessionEnded):
            await ending
    finally:
        await session.close()


async def test_a_session_is_renewed_while_a_start_takes_its_time(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("busyd.service.session.RENEW_EVERY", 0.01)
    storage = PostgresStorage(postgres.new_database(), beside=tmp_path / "ledger.sqlite3")
    session = DaemonSession(storage, name="one", address="")
    try:
        first = session.clock.renewal
        while session.clock.renewal is first:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert not session.is_late
    finally:
        await session.close()


async def test_work_ends_a_wait_and_is_no_hint_for_the_next(postgres: PostgresServer, tmp_path: Path) -> None:
    storage = PostgresStorage(postgres.new_database(), beside=tmp_path / "ledger.sqlite3")
    session = DaemonSession(storage, name="one", address="")
    try:
        waiting = asyncio.create_task(session.wait(3600))
        await asyncio.sleep(0)  # it has begun
        for _ in range(3):
            await session.run(session.fleet.owned)
        await waiting
        await session.run(partial(session.fleet.wait, 0))  # what was left of waking it
        for _ in range(3):
            await session.run(session.fleet.owned)
        assert not await session.run(partial(session.fleet.wait, 0))
    finally:
        await session.close()
