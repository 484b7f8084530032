"""`scripts/prepare`, which demo, test and bench call, also at once."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def test_who_prepares_while_another_does_waits_for_it(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(REPOSITORY / "scripts" / "prepare", tmp_path / "scripts" / "prepare")
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path / "pyproject.toml")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".prepared").touch()  # so that nothing is left to install
    line = [tmp_path / "scripts" / "prepare"]
    environment = {**os.environ, "PYTHON": sys.executable}
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        with subprocess.Popen(line, env=environment, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "waiting for another installation into .venv ...\n"
            fcntl.flock(folder, fcntl.LOCK_UN)
            assert process.wait(timeout=30) == 0
    finally:
        os.close(folder)
