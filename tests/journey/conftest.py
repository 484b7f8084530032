"""A small account, a service manager's socket, and busyd on a configuration for both."""

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.icloud.accounts import Account
from tests.icloud.server import SimulatedIcloud
from tests.journey.daemon import TIMEOUT, Busyd, busyd_in
from tests.journey.scheduler import SCHEDULED, Scheduler, scheduler_of, ten_o_clock

PASSWORD = "abcd-efgh-ijkl-mnop"
CONFIG = """
connections:
  anna: {{kind: icloud, url: "{url}", username: anna@icloud.com, password: {{env: APPLE}}}}
profiles:
  anna: {{conflicts: [anna/Work]}}
"""
Told = Callable[[str], str]


class Manager:
    """Takes what the daemon tells it at once, as systemd does: an unread socket would hold the daemon up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.messages: queue.Queue[str] = queue.Queue()

    def listen(self, listener: socket.socket) -> None:
        while message := listener.recv(4096):
            self.messages.put(message.decode())


@pytest.fixture
def icloud() -> Iterator[SimulatedIcloud]:
    with SimulatedIcloud.in_thread() as icloud:
        anna = icloud.add_account("anna@icloud.com", password=PASSWORD, dsid="300000001")
        anna.add_calendar("Work", id="work")
        anna.add_calendar("Home", id="home")
        yield icloud


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        manager = Manager(tmp_path / "notify")
        thread = threading.Thread(target=manager.listen, args=[listener])
        thread.start()
        yield manager
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"", str(manager.path))
        thread.join()


@pytest.fixture
def busyd(tmp_path: Path, icloud: SimulatedIcloud) -> Iterator[Busyd]:
    """Not started yet."""
    with busyd_in(tmp_path, environment={"APPLE": PASSWORD}) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


@pytest.fixture
def managed(tmp_path: Path, icloud: SimulatedIcloud, manager: Manager) -> Iterator[Busyd]:
    """The same under a service manager."""
    environment = {"APPLE": PASSWORD, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "400000"}
    with busyd_in(tmp_path, environment=environment) as busyd:
        busyd.configure(CONFIG.format(url=icloud.bootstrap_url))
        yield busyd


@pytest.fixture
def told(manager: Manager) -> Told:
    def until(word: str) -> str:
        while True:
            message = manager.messages.get(timeout=TIMEOUT)
            if word in message:
                return message

    return until


@pytest.fixture
def scheduler(busyd: Busyd, icloud: SimulatedIcloud) -> Scheduler:
    busyd.configure(SCHEDULED.format(url=icloud.bootstrap_url))
    return scheduler_of(busyd)


@pytest.fixture
def anna(icloud: SimulatedIcloud) -> Account:
    account: Account = icloud.accounts["anna@icloud.com"]
    assert account.password == PASSWORD
    return account


@pytest.fixture
def ten() -> int:
    """Ten o'clock UTC, some weeks from now."""
    return ten_o_clock()
