"""What the service manager sees: a life cycle over a real notify socket, and a unit systemd itself approves of."""

import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from busyd.systemd import ServiceManager, watchdog_seconds
from tests.skips import skip

UNIT = Path(__file__).parents[1] / "systemd" / "busyd.service"


def test_ready_carries_a_status_of_one_line(notify_socket: socket.socket, manager: ServiceManager) -> None:
    manager.ready("two\nlines")
    assert notify_socket.recv(4096) == b"READY=1\nSTATUS=two lines"


def test_reloading_names_its_moment(notify_socket: socket.socket, manager: ServiceManager) -> None:
    manager.reloading()
    first, _, second = notify_socket.recv(4096).partition(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")


async def test_the_watchdog_is_fed_only_after_the_store_has_answered(
    notify_socket: socket.socket, manager: ServiceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "2000")
    answers = iter([True, False])

    async def alive() -> None:
        if not next(answers):
            raise TimeoutError("the store hangs")

    with pytest.raises(TimeoutError):
        await manager.watchdog(alive)
    notify_socket.setblocking(False)
    assert notify_socket.recv(4096) == b"WATCHDOG=1"
    with pytest.raises(BlockingIOError):
        notify_socket.recv(4096)


@pytest.mark.parametrize("environment", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1", "WATCHDOG_PID": "1"}])
def test_no_heartbeat_where_none_is_asked_of_this_process(environment: dict[str, str]) -> None:
    assert watchdog_seconds(environment) is None


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = shutil.which("systemd-analyze") or skip("systemd-analyze is not installed")
    return subprocess.run([program, *arguments, str(UNIT)], capture_output=True, text=True, check=False)


def test_the_unit_is_not_exposed() -> None:
    found = analyze("security", "--offline=yes", "--no-pager", "--threshold=12")
    assert found.returncode == 0, found.stdout


def test_the_unit_is_understood_by_systemd() -> None:
    complaints = analyze("verify", "--man=no").stderr.splitlines()
    # The program it starts is installed on the user's machine, not here.
    assert [line for line in complaints if "busyd" in line and "is not executable" not in line] == []
