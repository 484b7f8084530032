"""What tests of any package may need."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, settings

from busyd.systemd import ServiceManager
from tests.other_user import give_to_nobody
from tests.skips import skip

# Deadlines measure how busy the machine is. What must be fast has a row in tests/bench.
settings.register_profile("busyd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busyd")


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
