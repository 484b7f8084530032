"""Work that is not left half done."""

import asyncio
import gc

import pytest

from busyd.cooperative import to_the_end
from busyd.errors import BusydError


async def test_what_must_not_stop_halfway_is_finished_though_whoever_waits_is_cancelled() -> None:
    begun, let_go, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def work() -> None:
        begun.set()
        await let_go.wait()
        done.append("all of it")

    waiting = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    waiting.cancel()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert done == ["all of it"]


async def test_what_fails_when_nobody_waits_for_it_any_more_is_told_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await let_go.wait()
        raise BusydError("the session in the database has ended")

    caplog.set_level("INFO")
    waiting = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    waiting.cancel()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    del waiting
    gc.collect()
    assert complaints == []
    assert "at a stop has failed: the session in the database has ended" in caplog.text
