"""The life of the daemon as its service manager sees it: ready, refused, doubled, stopping."""

import socket

from tests.journey.conftest import Told
from tests.journey.daemon import Busyd


def test_ready_comes_once_it_answers_then_heartbeats_then_stopping(managed: Busyd, told: Told) -> None:
    managed.start(wait=False)
    assert "STATUS=" in told("READY=1")
    assert managed.status_of("/healthz") == 200
    told("WATCHDOG=1")
    told("WATCHDOG=1")
    assert managed.stop() == 0
    told("STOPPING=1")


def test_a_faulty_file_at_the_start_is_78_with_line_and_column(managed: Busyd) -> None:
    managed.config.write_text("profiles:\n  anna: {conflict: [anna/Work]}\n")
    managed.start(wait=False)
    assert managed.process is not None
    assert managed.process.wait(timeout=30) == 78
    assert "config.yaml:2:10" in managed.log.read_text()


def test_a_second_one_on_the_same_state_is_told_who_is_there(managed: Busyd) -> None:
    managed.start()
    second = managed.command("run")
    assert second.returncode == 75
    assert managed.process is not None
    assert str(managed.process.pid) in second.stderr


def test_a_port_that_is_taken_is_told_and_not_retried_for_ever(managed: Busyd) -> None:
    with socket.create_server(("127.0.0.1", managed.port)):
        found = managed.command("run")
    assert found.returncode == 1
    assert "cannot listen" in found.stderr
