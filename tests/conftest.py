"""What tests of any package may need."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.other_user import give_to_nobody
from tests.skips import skip


@pytest.fixture
def foreign_state() -> Iterator[Path]:
    """An empty state directory that belongs to `nobody`, where `nobody` can reach it."""
    if os.geteuid() != 0:
        skip("only root can give a directory to another user")
    with TemporaryDirectory(prefix="busyd-") as folder:
        Path(folder).chmod(0o755)
        state = Path(folder, "state")
        state.mkdir(mode=0o700)
        give_to_nobody(state)
        yield state
