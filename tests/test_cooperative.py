"""Work that is not left half done."""

import asyncio
import gc
from collections.abc import Callable

import pytest

from busyd.cooperative import Turns, to_the_end
from busyd.errors import BusydError


async def cancel_halfway(end: Callable[[], None]) -> None:
    """Cancel whoever waits for work that has begun, and let that come to its end."""
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        await let_go.wait()
        end()

    waiting = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    waiting.cancel()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_what_must_not_stop_halfway_is_finished_though_whoever_waits_is_cancelled() -> None:
    done = list[str]()
    await cancel_halfway(lambda: done.append("all of it"))
    assert done == ["all of it"]


async def test_what_fails_when_nobody_waits_for_it_any_more_is_told_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))

    def fail() -> None:
        raise BusydError("the session in the database has ended")

    caplog.set_level("INFO")
    await cancel_halfway(fail)
    gc.collect()
    assert complaints == []
    assert "has failed: the session in the database has ended" in caplog.text


async def test_of_those_who_want_a_turn_of_their_own_only_one_has_it_at_a_time() -> None:
    turn, worked, done, turns = 0, list[int](), asyncio.Event(), Turns()

    async def count_turns() -> None:
        nonlocal turn
        while not done.is_set():
            turn += 1
            await asyncio.sleep(0)

    async def work(*, fails: bool) -> None:
        async with turns.own():
            worked.append(turn)
            if fails:
                raise BusydError("an answer cannot be read")

    counting = asyncio.create_task(count_turns())
    found = await asyncio.gather(*(work(fails=number == 2) for number in range(5)), return_exceptions=True)
    done.set()
    await counting
    assert [type(one) for one in found] == [type(None), type(None), BusydError, type(None), type(None)]
    assert len(set(worked)) == 5
