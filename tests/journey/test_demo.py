"""`scripts/demo`, without the preparations: what it prints can be tried, and nothing is left when it is stopped."""

import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demo import DEMOS, REPOSITORY, SEVERAL
from tests.journey.daemon import TIMEOUT, wait_for
from tests.ports import free_ports
from tests.postgres import find_programs
from tests.skips import skip


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@pytest.fixture
def port() -> Iterator[int]:
    """The first of several that are free."""
    found = free_ports(SEVERAL).start
    yield found
    for number in range(SEVERAL):
        shutil.rmtree(DEMOS / str(found + number), ignore_errors=True)


def started(port: int, *options: str) -> "tuple[subprocess.Popen[str], str]":
    """A demo, and what it has said until it is ready."""
    line = [sys.executable, "-m", "tests.demo", "--port", str(port), *options]
    demo = subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert demo.stdout is not None
    said = ""
    while "Ctrl-C stops" not in said:
        got = demo.stdout.readline()
        assert got, said
        said += got
    return demo, said


def stop(demo: "subprocess.Popen[str]") -> str:
    """What Ctrl-C does; what is said then."""
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=TIMEOUT)
    assert demo.returncode == 0, rest
    return rest


def shown(said: str, what: str) -> str:
    found = re.search(rf"^  {what} +(.*)$", said, re.MULTILINE)
    assert found is not None, said
    return found[1]


def answer(curl: str) -> int:
    with urllib.request.urlopen(shlex.split(curl)[1], timeout=TIMEOUT) as told:
        return int(told.status)


def test_the_demo_runs_until_it_is_stopped(port: int) -> None:
    demo, said = started(port)
    assert answer(shown(said, "slots")) == 200
    stop(demo)
    assert is_free(port)


def test_of_several_daemons_one_can_be_killed(port: int) -> None:
    if find_programs() is None:
        skip("PostgreSQL is not installed (apt-get install postgresql)")
    demo, said = started(port, "--postgresql")
    assert answer(shown(said, "busy")) == 200
    command = [sys.executable, "-m", "busyd", *shlex.split(shown(said, "who polls"))[1:]]

    def status() -> str:
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout

    polling = re.compile(r" s left  \d+: ")
    wait_for(lambda: len(polling.findall(status())) == SEVERAL, describe=status)
    subprocess.run(shlex.split(shown(said, "kill one")), check=True)
    wait_for(lambda: len(polling.findall(status())) == SEVERAL - 1 and "expired" not in status(), describe=status)
    folder = re.search(r"host=([^&]*)", shown(said, "database"))
    assert folder is not None
    rest = stop(demo)
    assert "Traceback" not in rest
    assert not Path(folder[1]).exists()
    assert all(is_free(port + number) for number in range(SEVERAL))
