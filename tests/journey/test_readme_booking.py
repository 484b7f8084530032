"""The README on booking: its examples run as they stand there, and its table has every error that there is."""

import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from busyd.flow.membership import WhyNot
from busyd.http.problem import TITLES
from tests.icloud.accounts import Account
from tests.journey.scheduler import Scheduler

README = Path(__file__).parents[2] / "README.md"


def section() -> str:
    return README.read_text().partition("\n## Booking\n")[2].partition("\n## ")[0]


def test_the_table_has_every_error_of_bookings() -> None:
    rows = [line.split("|")[1] for line in section().splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    assert named <= TITLES.keys()
    assert named >= {why.value for why in WhyNot} | {"not-proven", "no-primary", "read-only", "out-of-space"}


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_examples_book_move_and_cancel(scheduler: Scheduler, anna: Account, ten: int, tmp_path: Path) -> None:
    busyd, work = scheduler.busyd, anna.calendars["work"]
    program = tmp_path / "busyd"
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} -m busyd --config {busyd.config} --state {busyd.state} "$@"\n'
    )
    program.chmod(0o755)
    day = datetime.fromtimestamp(ten, UTC).date().isoformat()
    identity = ""
    for block in re.findall(r"```sh\n(.*?)```", section(), re.DOTALL):
        for line in re.split(r"(?<!\\)\n", block.strip()):
            line = line.replace("2026-12-01", day).replace("127.0.0.1:8377", f"127.0.0.1:{busyd.port}")
            environment = {
                **os.environ,
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "TOKEN": scheduler.token,
                "ID": identity,
            }
            ran = subprocess.run(
                ["sh", "-c", line], env=environment, capture_output=True, text=True, timeout=60, check=False
            )
            assert ran.returncode == 0, (line, ran.stderr)
            assert "/errors/" not in ran.stdout, line
            found = re.search(r'"id":"(\w+)"|^(\w+)  +\w{3} ', ran.stdout, re.MULTILINE)
            identity = (found[1] or found[2]) if found is not None else identity
            assert len(work.objects()) == (0 if "cancel" in line or "DELETE" in line else 1), line
