"""The life of the daemon as its service manager sees it: ready, refused, doubled, stopping."""

import json
import os
import signal
import socket
import subprocess
import sys

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


def test_a_port_that_is_taken_may_be_free_at_the_next_start(managed: Busyd) -> None:
    with socket.create_server(("127.0.0.1", managed.port)):
        found = managed.command("run")
    assert found.returncode == 75
    assert "cannot listen" in found.stderr


def test_after_early_ends_a_start_waits_and_can_be_stopped_at_once(managed: Busyd, told: Told) -> None:
    for _ in range(4):
        managed.start(wait=False)
        told("READY=1")
        managed.stop(how=signal.SIGKILL)
    managed.start(wait=False)
    assert "EXTEND_TIMEOUT_USEC=70000000" in told("waiting 10 s")
    assert managed.stop() == 0
    managed.start(wait=False)
    assert "STATUS=" in told("READY=1")
    assert "waiting 10 seconds" in managed.log.read_text()


def test_a_ledger_that_cannot_be_used_is_told_and_not_tried_again(managed: Busyd) -> None:
    (managed.state / "ledger.sqlite3").mkdir(parents=True)
    found = managed.command("run")
    assert found.returncode == 78
    assert "ledger.sqlite3 is not a regular file" in found.stderr


def test_a_disk_that_is_not_there_is_waited_for(managed: Busyd, told: Told) -> None:
    managed.config.write_text(managed.config.read_text() + f"state: {managed.folder}/disk/state\n")
    line = [sys.executable, "-m", "busyd", "--config", str(managed.config), "run"]
    environment = {**os.environ, **managed.environment}
    with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert "cannot create the state directory" in told("EXTEND_TIMEOUT_USEC=")
        process.terminate()
        _, complaint = process.communicate(timeout=30)
    assert process.returncode == 75
    assert f"cannot create the state directory: {managed.folder}/disk does not exist" in complaint


def test_a_daemon_that_hangs_is_not_said_to_be_stopped(busyd: Busyd) -> None:
    busyd.start()
    assert busyd.process is not None
    busyd.process.send_signal(signal.SIGSTOP)
    try:
        assert " not answering " in busyd.command("connection", "list").stdout
    finally:
        busyd.process.send_signal(signal.SIGCONT)
    busyd.stop()
    assert " not running " in busyd.command("connection", "list").stdout


def test_a_connection_that_the_daemon_has_not_read_yet_is_not_said_not_to_be_answering(busyd: Busyd) -> None:
    busyd.start()
    busyd.change("connections:", "connections:\n  ben: {username: ben@icloud.com, password: {env: APPLE}}")
    listed = busyd.command("connection", "list").stdout.splitlines()
    assert ["not loaded: run `busyd reload`" in line for line in listed[1:]].count(True) == 1
    (ben,) = [one for one in json.loads(busyd.command("connection", "list", "--json").stdout) if one["name"] == "ben"]
    assert ben["state"] == "not-loaded"
