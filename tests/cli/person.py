"""A person at a command line of their own: an empty home directory, commands as processes, answers piped or typed."""

import contextlib
import json
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PASSWORD = "abcd-efgh-ijkl-mnop"
"""What the simulated iCloud lets in."""
_BUSYD = [sys.executable, "-m", "busyd"]
_TIMEOUT = 30.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Person:
    """Runs busyd; nothing of the real environment counts."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.home / ".config" / "busyd" / "config.yaml"

    @property
    def state(self) -> Path:
        return self.home / ".local" / "state" / "busyd"

    @property
    def files(self) -> list[str]:
        """Everything in the home directory, by its path from there."""
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*") if path.is_file())

    def configure(self, text: str) -> None:
        self.config.parent.mkdir(parents=True, exist_ok=True)
        self.config.write_text(text)

    def run(self, *words: str, typed: str = "") -> Ended:
        """A command with its answers in a pipe."""
        done = subprocess.run(
            [*_BUSYD, *words],
            input=typed,
            env=self._env(),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def at_terminal(self, *words: str, answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
        """A command on a terminal; each answer is typed once its prompt has appeared. Status, and all that was seen."""
        master, slave = pty.openpty()
        with subprocess.Popen(
            [*_BUSYD, *words], stdin=slave, stdout=slave, stderr=slave, env=self._env(), start_new_session=True
        ) as process:
            os.close(slave)
            seen = ""
            try:
                for prompt, answer in answers:
                    seen = _read_until(master, seen, prompt=prompt)
                    os.write(master, f"{answer}\n".encode())
                seen = _read_until(master, seen, prompt=None)
                process.wait(timeout=_TIMEOUT)
            finally:
                process.kill()  # it may still wait for an answer that nobody foresaw
        os.close(master)
        return process.returncode, seen

    def _env(self) -> dict[str, str]:
        return {"HOME": str(self.home), "PATH": os.environ["PATH"], "TZ": "UTC", **self.environment}


def _read_until(master: int, seen: str, *, prompt: str | None) -> str:
    """Read until the prompt stands at the end (it may be one that was there before), or until the program has ended."""
    until, start = time.monotonic() + _TIMEOUT, len(seen)
    while prompt is None or prompt not in seen[start:]:
        if not select.select([master], [], [], max(0.0, until - time.monotonic()))[0]:
            message = f"no {prompt!r} came: {seen}"
            raise AssertionError(message)
        chunk = b""
        with contextlib.suppress(OSError):  # the other end is closed
            chunk = os.read(master, 4096)
        if not chunk:
            break
        seen += chunk.decode("utf-8", "replace")
    return seen


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
