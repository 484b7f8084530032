"""A world for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.booking.world import POLL, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One account and a daemon that has read it."""
    world = World(tmp_path)
    world.pass_time(2 * POLL)
    yield world
    world.close()
