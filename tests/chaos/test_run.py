"""A short piece of the long run; the whole of it is `python -m tests.chaos`."""

import logging

import pytest

from tests.chaos.harness import World
from tests.chaos.run import Chaos


@pytest.mark.parametrize("seed", [3, 13, 95])
async def test_some_hundred_steps_of_chaos_lose_nothing(
    world: World, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    figures = await Chaos(world, seed).run(170)
    assert figures.quiet_times > 1
    assert figures.checks > figures.requests
