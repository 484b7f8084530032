"""Machines with busyd installed as the README says, and the simulated iCloud running in them."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.systemd import account
from tests.systemd.machine import Machine, booted
from tests.systemd.readme import commands_of
from tests.systemd.tree import PIP, REPOSITORY, SIMULATOR, base_tree, layer, require_machines, simulator_tree

CLONE = "/root/busyd"
"""Where the machine has the sources, and where the README's commands are run."""
PASSWORD_FILE = "/root/password"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """What the installation adds to the bare tree; made once, however many processes run the tests."""
    require_machines()
    folder = tmp_path_factory.getbasetemp().parent / f"installed-{testrun_uid}"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _install(folder)
            (folder / "done").touch()
    return folder / "upper"


@pytest.fixture
def machine(installed: Path, tmp_path: Path) -> Iterator[Machine]:
    """The service runs and has read the account. For tests that leave the machine in another state."""
    with _machine(installed, tmp_path) as machine:
        yield machine


@pytest.fixture(scope="module")
def shared_machine(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The same, for all tests of a file that leave the machine as they found it."""
    with _machine(installed, tmp_path_factory.mktemp("machine")) as machine:
        yield machine


def connect(machine: Machine) -> None:
    """What the README has a person do after the installation; setup's questions are answered by its options."""
    machine.write(PASSWORD_FILE, account.PASSWORD, mode=0o600)
    machine.shell(f"{commands_of('Install by hand')[-1]} {setup_answers(PASSWORD_FILE)}")


def setup_answers(password_file: str) -> str:
    """The options that answer setup's questions."""
    login = f"--url {account_url()} --username {account.USER} --password-file {password_file} --name anna --yes"
    return f"{login} --profile anna --primary Work --timezone Europe/Berlin"


def account_url() -> str:
    return f"http://127.0.0.1:{account.FIRST_PORT}/"


def is_complete(machine: Machine) -> bool:
    """Whether the daemon can prove when the person is busy."""
    answer = freebusy(machine)
    return bool(answer and answer.get("complete"))


def freebusy(machine: Machine, start: str = "2027-03-01", *, end: str = "2027-03-02") -> dict[str, object] | None:
    answer: dict[str, object] | None = machine.get(f"/v1/profiles/anna/freebusy?start={start}&end={end}")
    return answer


@contextmanager
def _machine(installed: Path, folder: Path) -> Iterator[Machine]:
    with layer(f"{installed}:{simulator_tree()}:{base_tree()}", folder) as root, booted(root) as machine:
        _start_account(machine)
        connect(machine)
        machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))
        yield machine


@contextmanager
def bare_machine(folder: Path) -> Iterator[Machine]:
    """A machine with a clone and the simulated iCloud, on which nobody has installed busyd."""
    require_machines()
    with layer(f"{simulator_tree()}:{base_tree()}", folder) as root:
        _clone(root)
        with booted(root) as machine:
            _start_account(machine)
            yield machine


def _start_account(machine: Machine) -> None:
    command = [f"--working-directory={CLONE}", f"{SIMULATOR}/bin/python", "-m", "tests.systemd.account"]
    machine.run("systemd-run", "--unit=icloud", *command)
    machine.wait_for(
        lambda: machine.run("curl", "-s", account_url(), check=False).returncode == 0,
        describe=lambda: machine.journal("icloud"),
    )


def _clone(root: Path) -> None:
    clone = root / CLONE.lstrip("/")
    sources = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, sources.stdout.split("\0")):
        if (REPOSITORY / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, clone / name)


def _install(folder: Path) -> None:
    with layer(f"{simulator_tree()}:{base_tree()}", folder) as root:
        _clone(root)
        with booted(root) as machine:
            machine.shell("\n".join([f"cd {CLONE}", *commands_of("Install by hand")[:-1]]), environment=PIP)
