"""The command line as a whole: finding commands, options everywhere, errors in words, statuses."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import busyd as package
from busyd.cli import check
from busyd.cli.exit_status import ExitStatus
from busyd.cli.main import COMMANDS
from busyd.errors import DataError, RemoteError, UserError
from tests.cli.conftest import Busyd

BUSYD = [sys.executable, "-m", "busyd"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(busyd: Busyd, command: str) -> None:
    ran = busyd(command, "--help")
    assert ran.status == 0
    assert ran.out.startswith(f"usage: busyd {command}")
    assert "--config FILE" in ran.out


def test_the_help_lists_every_command(busyd: Busyd) -> None:
    ran = busyd("--help")
    assert ran.status == 0
    assert all(f"\n    {command}" in ran.out for command in COMMANDS)


def test_the_version_is_told(busyd: Busyd) -> None:
    assert busyd("--version").out == f"busyd {package.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["chek"], "busyd: unknown command 'chek', did you mean 'check'?\n       see `busyd --help`\n"),
        (["xyzzy"], "busyd: unknown command 'xyzzy'\n       see `busyd --help`\n"),
        (
            ["check", "--jsn"],
            "busyd: unknown option --jsn, did you mean --json?\n       see `busyd check --help`\n",
        ),
        (["check", "x"], "busyd: unexpected argument 'x'\n       see `busyd check --help`\n"),
        (
            ["--verson", "check"],
            "busyd: unknown option --verson, did you mean --version?\n       see `busyd --help`\n",
        ),
        (
            ["token", "add", "anna", "--scop=x"],
            "busyd: unknown option --scop, did you mean --scope?\n       see `busyd token add --help`\n",
        ),
        (["check", "--config"], "busyd: argument --config: expected one argument\n       see `busyd check --help`\n"),
        (["token"], "busyd: say what to do: add, list, revoke\n       see `busyd token --help`\n"),
        (
            ["token", "lst"],
            "busyd: argument ACTION: 'lst' is not one of add, list, revoke, did you mean 'list'?\n"
            "       see `busyd token --help`\n",
        ),
        (
            ["completion", "fish"],
            "busyd: argument SHELL: 'fish' is not one of bash, zsh, tcsh\n       see `busyd completion --help`\n",
        ),
        (
            ["busy"],
            "busyd: give files, --start and --end, or --batch with requests on standard input\n"
            "       see `busyd busy --help`\n",
        ),
        (
            ["token", "add"],
            "busyd: the following arguments are required: PROFILE\n       see `busyd token add --help`\n",
        ),
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_with_status_64(busyd: Busyd, words: list[str], said: str) -> None:
    ran = busyd(*words)
    assert (ran.status, ran.out, ran.err) == (64, "", said)


@pytest.mark.parametrize("command", COMMANDS)
def test_without_a_configuration_every_command_says_what_to_do(busyd: Busyd, tmp_path: Path, command: str) -> None:
    (tmp_path / ".config" / "busyd" / "config.yaml").unlink()
    if command == "setup":
        return  # it asks: `test_setup.py`
    ran = busyd(command)
    said = (ran.err or ran.out).splitlines()
    assert ran.status in (64, 69, 78)
    assert "busyd " in said[-1] or "busyd " in said[1] or command == "doctor"
    assert "Traceback" not in ran.err


def test_no_command_at_all_shows_the_help_with_status_64(busyd: Busyd) -> None:
    ran = busyd()
    assert (ran.status, ran.out) == (64, "")
    assert "COMMAND" in ran.err


@pytest.mark.parametrize("before", [True, False])
def test_options_for_all_may_stand_before_and_after_the_command(busyd: Busyd, home: Path, before: bool) -> None:
    other = home / "other.yaml"
    other.write_text("")
    words = ["--config", str(other), "check"] if before else ["check", f"--config={other}"]
    assert busyd(*words).err.startswith(f"{other}:1:1: the file is empty")


def test_an_option_after_the_command_wins_and_one_in_front_is_not_forgotten(busyd: Busyd, home: Path) -> None:
    ran = busyd("--state", str(home / "a"), "--config=/nonexistent", "token", "--state", str(home / "b"), "add", "anna",
                "--config", str(home / ".config/busyd/config.yaml"))  # fmt: skip
    assert ran.status == 0
    assert (home / "b" / "ledger.sqlite3").exists()
    assert not (home / "a").exists()


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (UserError("that is wrong", fix="do this"), 1, "busyd: that is wrong\n       do this\n"),
        (RemoteError("no answer"), 69, "busyd: no answer\n"),
        (DataError("no sense"), 1, "busyd: no sense\n"),
        (UserError("\x1b[2J evil\nname"), 1, "busyd:  [2J evil name\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_error_is_told_without_a_traceback(
    busyd: Busyd, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: int, said: str
) -> None:
    def fail(_: object) -> int:
        raise error

    monkeypatch.setattr(check, "check_configuration", fail)
    ran = busyd("check")
    assert (ran.status, ran.err) == (status, said)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("profiles:\n  anna: {conflict: []}\n  ben: {conflict: []}\n", 3),
        ("listen: unix:/nonexistent/s\n", 2),
        ("".join(f"wrong{number}: 1\n" for number in range(110)), 7),
    ],
)
def test_every_line_of_an_error_is_one_in_the_journal(tmp_path: Path, text: str, lines: int) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with (tmp_path / "journal").open("w+") as journal:
        found = os.fstat(journal.fileno())
        environment = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        command = [*BUSYD, "--config", str(tmp_path / "config.yaml"), "--state", str(tmp_path / "state"), "run"]
        done = subprocess.run(command, stderr=journal, env=environment, check=False)
    assert done.returncode == 78
    told = (tmp_path / "journal").read_text().splitlines()
    assert len(told) == lines
    assert all(line.startswith("<3>") for line in told)


def test_no_configuration_is_status_78(busyd: Busyd, home: Path) -> None:
    (home / ".config/busyd/config.yaml").unlink()
    if Path("/etc/busyd/config.yaml").exists():
        pytest.skip("this machine has a configuration of its own")
    ran = busyd("check")
    assert ran.status == ExitStatus.CONFIG
    assert "no configuration found (looked for" in ran.err
    assert "busyd setup" in ran.err


def test_a_reader_that_goes_away_is_no_trouble(home: Path) -> None:
    environment = {**os.environ, "HOME": str(home)}
    process = subprocess.Popen([*BUSYD, "check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=30) == ExitStatus.BROKEN_PIPE
    assert "Broken pipe" not in complaint
    assert "Traceback" not in complaint


@pytest.mark.parametrize("command", ["run", "status", "freebusy", "token", "check", "book", "changes", "webhook"])
def test_a_command_does_not_load_what_it_does_not_need(command: str) -> None:
    code = f"import sys; from busyd.cli.main import build_parser; build_parser({command!r})"
    needless = {"rich", "cryptography", "lxml", "icalendar"}
    if command == "run":
        code += "; from busyd.service.lifecycle import run_service"
    else:
        needless |= {"aiohttp", "busyd.service.lifecycle"}
    code += f"; print({needless} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
