"""A short look with the coverage-guided fuzzer; `python -m tests.fuzz 600` looks longer."""

import importlib.util
import subprocess
import sys
from pathlib import Path

from tests.skips import skip


def test_a_few_thousand_guided_mutations_crash_nothing_and_hide_nothing(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        skip("atheris does not install on this platform")
    repository = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.fuzz", "4", f"-artifact_prefix={tmp_path}/"]
    found = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode == 0, found.stderr[-2000:]
