"""A machine with a systemd of its own: nspawn boots a tree in half a second, commands run in all its namespaces."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.journey.daemon import TIMEOUT, wait_for
from tests.systemd.control_groups import in_control_groups, own_control_groups


@dataclass
class Machine:
    """A booted tree. Everything below happens inside."""

    root: Path
    init: int
    """Process id of its systemd, as seen from outside."""

    def run(
        self, *command: str, check: bool = True, given: str | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; with `check`, a nonzero status is an AssertionError with what was printed."""
        enter = ["nsenter", "-t", str(self.init), "-m", "-u", "-i", "-n", "-p", "-C", f"--root=/proc/{self.init}/root"]
        clean = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
        }
        done = subprocess.run(
            [*enter, "env", "--chdir=/", *command],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env={**clean, **(environment or {})},
        )
        if check and done.returncode != 0:
            message = f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
            raise AssertionError(message)
        return done

    def shell(self, script: str, *, check: bool = True, environment: dict[str, str] | None = None) -> str:
        """What a script prints."""
        return self.run("bash", "-euo", "pipefail", "-c", script, check=check, environment=environment).stdout

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root:root") -> None:
        """Make a file, in place of any before it."""
        self.run("install", "-m", f"{mode:o}", "/dev/null", path)
        self.run("tee", path, given=text)
        self.run("chown", owner, path)

    def show(self, unit: str, name: str) -> str:
        """One property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", name, unit).stdout.strip()

    def main_pid(self, unit: str) -> int:
        """The unit's main process inside, or an AssertionError: 0 would be everybody's process group."""
        pid = int(self.show(unit, "MainPID"))
        assert pid > 1, f"{unit} does not run: {self.show(unit, 'StatusText')}"
        return pid

    def journal(self, unit: str, *arguments: str) -> str:
        """The lines of a unit in the journal."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, *arguments).stdout

    def get(self, path: str, *, port: int = 8377) -> Any:
        """The JSON that the daemon answers; None when nobody does."""
        done = self.run("curl", "-sg", "--max-time", "20", f"http://127.0.0.1:{port}{path}", check=False)
        return json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else None

    def wait_for(self, what: Callable[[], Any], *, describe: Callable[[], object] = lambda: "") -> Any:
        """Ask again and again until the answer is true; returns it."""
        return wait_for(what, describe=describe)


@contextmanager
def booted(root: Path) -> Iterator[Machine]:
    """Boot a tree, and power it off at the end."""
    console = root.parent / "console"
    command = ["systemd-nspawn", "--quiet", f"--directory={root}", "--register=no", "--keep-unit", "--private-network"]
    with ExitStack() as ending, console.open("w") as output:
        groups = ending.enter_context(own_control_groups(f"busyd-test-{os.getpid()}-{root.parent.name}"))
        nspawn = subprocess.Popen(
            [*in_control_groups(groups), *command, "--boot", "--console=pipe", "systemd.unit=multi-user.target"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        ending.callback(_end, nspawn)
        machine = Machine(root, _init_of(nspawn, console))
        machine.wait_for(
            lambda: (
                machine.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")
            ),
            describe=console.read_text,
        )
        yield machine
        machine.run("systemctl", "poweroff", check=False)
        nspawn.wait(timeout=TIMEOUT)


def _end(nspawn: "subprocess.Popen[bytes]") -> None:
    if nspawn.poll() is None:
        nspawn.kill()
        nspawn.wait()


def _init_of(nspawn: "subprocess.Popen[bytes]", console: Path) -> int:
    """The child of nspawn that is process 1 in a namespace of its own."""
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until and nspawn.poll() is None:
        for child in Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children").read_text().split():
            if _is_init(child):
                return int(child)
        time.sleep(0.02)
    message = f"the machine did not boot: {console.read_text()}"
    raise AssertionError(message)


def _is_init(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        started = Path(f"/proc/{pid}/exe").readlink().name == "systemd"
    except OSError:
        return False
    spaces = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
    return started and spaces.split()[-1] == "1"
