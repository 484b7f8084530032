"""What runs until the stop: the stop ends all of it, and so does the first part that fails."""

import asyncio
import gc
from collections.abc import Coroutine
from contextlib import suppress

import pytest

from busyd.service.tasks import run_until_stopped, without_collections
from busyd.store.errors import StorageError


async def for_ever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def fails(error: Exception, *, after: asyncio.Event) -> None:
    await after.wait()
    raise error


async def done_at_once() -> None:
    return


def work(ended: list[str], *more: Coroutine[None, None, None]) -> dict[str, Coroutine[None, None, None]]:
    numbered = {f"task {number}": task for number, task in enumerate(more)}
    return {"first": for_ever(ended, "first"), "second": for_ever(ended, "second"), **numbered}


async def test_a_stop_ends_everything_that_runs() -> None:
    stop, ended = asyncio.Event(), list[str]()
    running = asyncio.create_task(run_until_stopped(stop, work(ended)))
    await asyncio.sleep(0)
    stop.set()
    await running
    assert sorted(ended) == ["first", "second"]


async def test_what_comes_to_its_end_by_itself_ends_nothing_else() -> None:
    stop, ended = asyncio.Event(), list[str]()
    running = asyncio.create_task(run_until_stopped(stop, work(ended, done_at_once())))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not ended
    stop.set()
    await running


@pytest.mark.parametrize("error", [StorageError("the disk is gone"), OSError(5, "no more"), ZeroDivisionError("a bug")])
async def test_the_first_failure_ends_everything_and_comes_out_as_itself(error: Exception) -> None:
    stop, now, ended = asyncio.Event(), asyncio.Event(), list[str]()
    now.set()
    with pytest.raises(type(error)) as raised:
        await run_until_stopped(stop, work(ended, fails(error, after=now)))
    assert raised.value is error
    assert sorted(ended) == ["first", "second"]


async def test_a_failure_while_everything_ends_does_not_hide_that_it_was_stopped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails_when_it_is_cancelled() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise StorageError("too late")

    stop, ended = asyncio.Event(), list[str]()
    running = asyncio.create_task(run_until_stopped(stop, work(ended, fails_when_it_is_cancelled())))
    await asyncio.sleep(0)
    stop.set()
    await running
    assert "too late" in caplog.text


async def test_whoever_cancels_it_cancels_everything() -> None:
    stop, ended = asyncio.Event(), list[str]()
    running = asyncio.create_task(run_until_stopped(stop, work(ended)))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert sorted(ended) == ["first", "second"]


@pytest.mark.parametrize("fault", [None, StorageError("the disk is gone")])
def test_what_is_loaded_at_the_start_is_never_looked_through_for_garbage(fault: StorageError | None) -> None:
    try:
        with suppress(StorageError), without_collections():
            assert not gc.isenabled()
            loaded = [[number] for number in range(1000)]
            if fault is not None:
                raise fault
        assert gc.isenabled()
        assert not {id(one) for one in gc.get_objects()} & set(map(id, loaded))
    finally:
        gc.unfreeze()
