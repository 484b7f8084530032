"""Runs the simulated iCloud as a process of its own, for tests that drive busyd as a process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class RunningIcloud:
    """What the process announced. Change its state through `control_url`."""

    bootstrap_url: str
    shard_url: str
    other_shard_url: str
    feeds_url: str
    foreign_url: str
    control_url: str
    accounts: list[dict[str, str]]
    feeds: list[str]
    pid: int


@contextmanager
def icloud_process(*arguments: str) -> Iterator[RunningIcloud]:
    """Start `python -m tests.icloud ARGUMENTS --announce`, wait for its addresses, end it with SIGTERM."""
    command = [sys.executable, "-m", "tests.icloud", *arguments, "--announce"]
    with subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            announced: dict[str, Any] = json.loads(process.stdout.readline() if process.stdout else "")
            yield RunningIcloud(**announced)
        finally:
            process.terminate()
            process.wait(timeout=10)
