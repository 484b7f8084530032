"""A world for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.harness import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World.start(tmp_path) as world:
        yield world
