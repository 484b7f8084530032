"""Runs busyd as users do: a process, a configuration file, a state directory; talks to it over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.ports import free_port

TIMEOUT = 60.0
"""Seconds after which something that should have happened is taken for not happening."""


def wait_for(what: Callable[[], Any], *, describe: Callable[[], object] = lambda: "") -> Any:
    """Ask again and again until the answer is true; returns it. Another process has no event to await.

    The longer it takes, the more seldom: to ask may cost as much as what is waited for.
    """
    began = time.monotonic()
    while (waited := time.monotonic() - began) < TIMEOUT:
        found = what()
        if found:
            return found
        time.sleep(min(max(0.05, waited / 20), 0.5))
    message = f"the condition did not become true within {TIMEOUT:g} s: {describe()}"
    raise AssertionError(message)


@dataclass
class Busyd:
    """One installation: configuration and state; started and stopped as often as a test likes."""

    folder: Path
    port: int = field(default_factory=free_port)
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[str] | None = None
    module: tuple[str, ...] = ("busyd",)
    """What is run as the daemon, with arguments that come before all others."""

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "busyd.log"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def configure(self, text: str) -> None:
        """Write the configuration; the listening address is put in front of it."""
        self.config.write_text(f"listen: 127.0.0.1:{self.port}\n{text}")

    def change(self, old: str, new: str) -> None:
        """Change the configuration in one place."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def command(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """Run a busyd command to its end; what is given after them wins over the configuration and the state."""
        return self.command_with_state("--config", str(self.config), *arguments, typed=typed)

    def command_with_state(self, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        """The same, with the state directory named and nothing else. `typed` is what it is piped."""
        line = [sys.executable, "-m", "busyd", "--state", str(self.state), *arguments]
        environment = self._env()
        return subprocess.run(
            line, env=environment, input=typed, capture_output=True, text=True, timeout=60, check=False
        )

    def start(self, *, wait: bool = True) -> None:
        """Start the daemon; with `wait`, until it answers at all."""
        line = [
            sys.executable,
            "-X",
            "faulthandler",
            "-m",
            *self.module,
            "--config",
            str(self.config),
            "--state",
            str(self.state),
            "run",
        ]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(line, env=self._env(), stdout=log, stderr=log, text=True)
        if wait:
            wait_for(lambda: self.status_of("/healthz") == 200, describe=self.log.read_text)

    def stop(self, *, how: int = signal.SIGTERM) -> int:
        """End the daemon; its exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(how)
        status = self.process.wait(timeout=TIMEOUT)
        self.process = None
        return status

    def get(self, path: str, *, token: str = "", accept: str = "*/*") -> Any:
        """GET as JSON, or as text where the answer is none. An error status is an AssertionError with its body."""
        request = urllib.request.Request(self.base + path, headers={"Accept": accept})
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                body = answer.read().decode()
                return json.loads(body) if "json" in answer.headers["Content-Type"] else body
        except urllib.error.HTTPError as error:
            message = f"{path} answered {error.code}: {error.read().decode()}"
            raise AssertionError(message) from None

    def status_of(self, path: str) -> int:
        """The status a GET gives; 0 when nobody answers."""
        try:
            with urllib.request.urlopen(self.base + path, timeout=TIMEOUT) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def freebusy(self, start: str, end: str, *, profile: str = "anna") -> Any:
        return self.get(f"/v1/profiles/{profile}/freebusy?start={quote(start)}&end={quote(end)}")

    def busy(self, start: str, end: str, *, profile: str = "anna") -> list[tuple[str, str, str]]:
        """The busy list as plain tuples."""
        return [(one["start"], one["end"], one["type"]) for one in self.freebusy(start, end, profile=profile)["busy"]]

    def admin_token(self) -> str:
        return (self.state / "local-admin-token").read_text().strip()

    def status(self) -> Any:
        return self.get("/v1/status", token=self.admin_token())

    def until_busy(self, start: str, end: str, expected: list[tuple[str, str, str]], profile: str = "anna") -> None:
        """Wait until the answer is complete and its busy list is exactly this."""

        def reached() -> bool:
            answer = self.freebusy(start, end, profile=profile)
            found = [(one["start"], one["end"], one["type"]) for one in answer["busy"]]
            return bool(answer["complete"] and found == expected)

        wait_for(reached, describe=lambda: (self.freebusy(start, end, profile=profile), self.log.read_text()[-3000:]))

    def _env(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
        return {**kept, "TZ": "UTC", **self.environment}


@contextmanager
def busyd_in(folder: Path, *, environment: Mapping[str, str] | None = None) -> Iterator[Busyd]:
    """An installation in a folder; whatever runs of it is killed at the end."""
    busyd = Busyd(folder, environment=environment or {})
    try:
        yield busyd
    finally:
        if busyd.process is not None:
            busyd.process.kill()
            busyd.process.wait()
