"""Who asks for a reload, and when: one after the other, shared by those who wait."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from busyd.flow.reload import ReloadOutcome, ReloadRequests
from busyd.store.errors import StorageError


class Reloads:
    """Reloads that end when a test says so."""

    def __init__(self) -> None:
        self.requests = ReloadRequests()
        self.began: asyncio.Queue[int] = asyncio.Queue()
        self.outcomes: asyncio.Queue[ReloadOutcome | Exception] = asyncio.Queue()
        self.count = 0

    async def reload(self) -> ReloadOutcome:
        self.count += 1
        await self.began.put(self.count)
        outcome = await self.outcomes.get()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
async def reloads() -> AsyncIterator[Reloads]:
    reloads = Reloads()
    serving = asyncio.create_task(reloads.requests.serve(reloads.reload))
    yield reloads
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_who_asks_during_a_reload_waits_for_the_next_which_all_of_them_share(reloads: Reloads) -> None:
    first = asyncio.create_task(reloads.requests.outcome())
    assert await reloads.began.get() == 1
    others = [asyncio.create_task(reloads.requests.outcome()) for _ in range(3)]
    await asyncio.sleep(0)
    reloads.outcomes.put_nowait(ReloadOutcome("refused"))
    assert (await first).outcome == "refused"
    assert await reloads.began.get() == 2
    reloads.outcomes.put_nowait(ReloadOutcome("applied"))
    assert {(await other).outcome for other in others} == {"applied"}
    assert reloads.count == 2


async def test_who_went_away_keeps_nobody_from_an_outcome(reloads: Reloads) -> None:
    gone, stays = (asyncio.create_task(reloads.requests.outcome()) for _ in range(2))
    await reloads.began.get()
    gone.cancel()
    reloads.outcomes.put_nowait(ReloadOutcome("applied"))
    assert (await stays).outcome == "applied"


async def test_a_disk_that_does_not_take_the_change_is_told_at_once_and_asking_again_tries_again(
    reloads: Reloads,
) -> None:
    asked = asyncio.create_task(reloads.requests.outcome())
    await reloads.began.get()
    reloads.outcomes.put_nowait(StorageError("the disk is full"))
    with pytest.raises(StorageError):
        await asked
    again = asyncio.create_task(reloads.requests.outcome())
    assert await reloads.began.get() == 2
    reloads.outcomes.put_nowait(ReloadOutcome("applied"))
    assert (await again).outcome == "applied"
