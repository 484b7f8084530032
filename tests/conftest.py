"""What tests of any package may need."""

import gc
import os
import socket
from collections.abc import Generator, Iterator
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from busyd.systemd import ServiceManager
from tests.other_user import give_to_nobody
from tests.postgres import PostgresServer, running
from tests.skips import skip

# Deadlines measure how busy the machine is. What must be fast has a row in tests/bench.
settings.register_profile("busyd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busyd")

WAITING: Final = ("tests/journey/", "tests/soak/", "tests/systemd/")
"""Folders whose tests spend most of their time waiting for other processes."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for no garbage among ten thousand tests: none of them goes away."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Spread the files whose tests wait evenly: each worker takes a stretch of the whole, and none has all of them."""
    if not hasattr(config, "workerinput"):
        return
    files = [[*group] for _, group in groupby(items, key=lambda item: item.path)]
    waiting = [file for file in reversed(files) if file[0].nodeid.startswith(WAITING)]  # machines first
    busy = [file for file in files if not file[0].nodeid.startswith(WAITING)]
    places = [*_places(busy), *_places(waiting)]
    items[:] = chain.from_iterable(file for _, file in sorted(places, key=lambda placed: placed[0]))


def _places(files: list[list[pytest.Item]]) -> Iterator[tuple[float, list[pytest.Item]]]:
    """Each file with the share of the tests of all that come before it."""
    total, before = sum(map(len, files)), 0
    for file in files:
        yield before / total, file
        before += len(file)


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


@pytest.fixture
def notify_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """What stands in for the service manager: hears what is told to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


@pytest.fixture
def manager(notify_socket: socket.socket) -> Iterator[ServiceManager]:
    assert notify_socket.fileno() >= 0, "the manager looks for its socket when it is made"
    manager = ServiceManager()
    yield manager
    manager.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server of these tests' own."""
    with running() as server:
        yield server
