"""Completion and man page come from the parser, so that they know every command and option."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from busyd.cli.main import COMMANDS
from tests.cli.conftest import Busyd


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_every_command_is_completed(busyd: Busyd, shell: str) -> None:
    ran = busyd("completion", shell)
    assert ran.status == 0
    assert [command for command in COMMANDS if command not in ran.out] == []


def test_a_shell_takes_it(busyd: Busyd, tmp_path: Path) -> None:
    script = tmp_path / "busyd"
    script.write_text(busyd("completion", "bash").out)
    ask = f"source {script}; COMP_WORDS=(busyd tok); COMP_CWORD=1; _shtab_busyd; echo ${{COMPREPLY[@]}}"
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run([bash, "-c", ask], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.split() == ["token"]


def test_the_man_page_knows_every_command_and_its_options(tmp_path: Path) -> None:
    page = tmp_path / "busyd.1"
    maker = [
        str(Path(sys.executable).with_name("argparse-manpage")),
        "--module",
        "busyd.cli.main",
        "--function",
        "build_full_parser",
    ]
    done = subprocess.run(
        [*maker, "--prog", "busyd", "--output", str(page)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    plain = text.replace("\\fI\\,", "").replace("\\-", "-")
    assert [command for command in COMMANDS if f"busyd {command}" not in plain] == []
    assert "\\-\\-give\\-back" in text
