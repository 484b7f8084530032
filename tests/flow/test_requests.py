"""Whoever asks and does not wait: what was committed is shown all the same."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from busyd.availability.profile import Profile
from busyd.flow.blocks import BlockView
from busyd.flow.requests import KeyedRequest
from busyd.period import FbType
from tests.index.inside import WORK, Inside, StoppedClock, at, ref, window

SPAN = window("2026-06-01T09:30", "2026-06-01T11:00")


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    opened = await start(tmp_path)
    yield opened
    opened.close()


async def start(folder: Path) -> Inside:
    profile = Profile("anna", timezone="UTC", conflicts=(ref("anna/*"),))
    opened = Inside(folder, StoppedClock(at("2026-05-31")), profiles=[profile])
    await opened.show(WORK)
    await opened.put(WORK)
    return opened


def render(view: BlockView) -> bytes:
    return view.id.encode()


async def add(inside: Inside) -> None:
    asked = KeyedRequest("anna", inside.clock.now(), token="t")
    await inside.backend.blocks.add(asked, SPAN, fbtype=FbType.BUSY, summary="", render=render)


async def test_what_was_committed_is_busy_although_whoever_asked_is_gone(inside: Inside) -> None:
    task = asyncio.create_task(add(inside))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    known = await inside.ledger.outbox(lambda outbox: outbox.of_profile("anna", SPAN))
    assert len(known) == len(await inside.busy("2026-06-01", "2026-06-02")) == 1


async def test_a_block_added_to_a_stored_snapshot_is_busy_at_once(inside: Inside, tmp_path: Path) -> None:
    inside.ledger.close()
    inside.store.close()
    again = Inside(tmp_path, StoppedClock(at("2026-05-31")), profiles=[inside.state.profiles["anna"].profile])
    assert again.state.profiles["anna"].readings is None
    await add(again)
    assert await again.busy("2026-06-01", "2026-06-02") == [(SPAN.start, SPAN.end, "BUSY")]
    inside.ledger, inside.store = again.ledger, again.store
