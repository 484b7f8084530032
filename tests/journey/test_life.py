"""The life of the daemon as its service manager sees it: ready, reloading, refused, doubled, stopping."""

import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import Busyd, busyd_in, wait_for

PASSWORD = "abcd-efgh-ijkl-mnop"
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}}}
profiles:
  anna: {{conflicts: [anna/Work]}}
"""
Told = Callable[[str], str]


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as icloud:
        anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        anna.add_calendar("Work", id="work")
        anna.add_calendar("Home", id="home")
        yield icloud


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        yield listener


@pytest.fixture
def busyd(tmp_path: Path, icloud: SimulatedIcloud, manager: socket.socket) -> Iterator[Busyd]:
    environment = {"APPLE": PASSWORD, "NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"}
    with busyd_in(tmp_path, environment=environment) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


@pytest.fixture
def told(manager: socket.socket) -> Told:
    def until(word: str) -> str:
        while True:
            message = manager.recv(4096).decode()
            if word in message:
                return message

    return until


def test_ready_comes_once_it_answers_then_heartbeats_then_stopping(busyd: Busyd, told: Told) -> None:
    busyd.start(wait=False)
    assert "STATUS=" in told("READY=1")
    assert busyd.status_of("/healthz") == 200
    told("WATCHDOG=1")
    told("WATCHDOG=1")
    assert busyd.stop() == 0
    told("STOPPING=1")


def test_a_reload_applies_a_changed_file_without_a_gap(busyd: Busyd, told: Told) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", [])
    busyd.config.write_text(busyd.config.read_text().replace("[anna/Work]", "[anna/Work, anna/Home]"))
    assert busyd.command("reload").returncode == 0
    told("RELOADING=1")
    told("READY=1")
    wait_for(lambda: len(busyd.freebusy("2026-06-01", "2026-06-02")["calendars"]) == 2, describe=busyd.log.read_text)
    busyd.until_busy("2026-06-01", "2026-06-02", [])


def test_a_faulty_file_changes_nothing_and_the_status_says_so(busyd: Busyd, told: Told) -> None:
    busyd.start()
    busyd.until_busy("2026-06-01", "2026-06-02", [])
    busyd.config.write_text(busyd.config.read_text().replace("conflicts", "conflict"))
    if busyd.process is not None:
        busyd.process.send_signal(signal.SIGHUP)
    told("RELOADING=1")
    told("READY=1")
    assert "did you mean" in busyd.status()["configuration"]
    assert busyd.freebusy("2026-06-01", "2026-06-02")["complete"]


def test_a_faulty_file_at_the_start_is_78_with_line_and_column(busyd: Busyd) -> None:
    busyd.config.write_text("profiles:\n  anna: {conflict: [anna/Work]}\n")
    busyd.start(wait=False)
    assert busyd.process is not None
    assert busyd.process.wait(timeout=30) == 78
    assert "config.yaml:2:10" in busyd.log.read_text()


def test_a_second_one_on_the_same_state_is_told_who_is_there(busyd: Busyd) -> None:
    busyd.start()
    second = busyd.command("run")
    assert second.returncode == 75
    assert busyd.process is not None
    assert str(busyd.process.pid) in second.stderr


def test_a_port_that_is_taken_is_told_and_not_retried_for_ever(busyd: Busyd) -> None:
    with socket.create_server(("127.0.0.1", busyd.port)):
        found = busyd.command("run")
    assert found.returncode == 1
    assert "cannot listen" in found.stderr
