"""Work that is not left half done."""

import asyncio

import pytest

from busyd.cooperative import to_the_end


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
