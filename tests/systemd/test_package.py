"""The Debian package on a machine: from nothing to a feed by the README, then upgraded, removed and purged."""

import re
import shlex
import time
from pathlib import Path

import pytest

import busyd
from tests.systemd import account
from tests.systemd.conftest import CLONE, account_url, bare_machine, freebusy, is_complete, setup_answers
from tests.systemd.machine import Machine
from tests.systemd.old_files import leave_old_files
from tests.systemd.readme import commands_of
from tests.systemd.tree import PIP
from tests.systemd.user import User

OLDER = "0.0.9"
ANSWERS = f"\n{account.USER}\n{account.PASSWORD}\n" + "\n" * 20
"""What a person types: for this machine's service, the Apple ID, the password, and Enter for all that is offered."""


def test_by_the_readme_a_fresh_machine_has_a_feed_and_an_older_version_is_upgraded_and_purged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bare_machine(tmp_path) as machine:
        machine.write("/etc/apt/apt.conf.d/yes", 'APT::Get::Assume-Yes "true";\n')
        set_version(machine, OLDER)
        told = follow_the_readme(machine)
        with capsys.disabled():
            print("\nfrom a fresh machine to a feed:", told)
        check_what_is_installed(machine)
        machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))
        before = freebusy(machine)
        assert before is not None

        set_version(machine, busyd.__version__)
        machine.run("systemctl", "stop", "busyd")
        leave_old_files(machine, "/var/lib/busyd", CLONE, owner="busyd")
        machine.run("systemctl", "start", "busyd")
        machine.shell("\n".join([f"cd {CLONE}", *commands_of("Upgrade")]), environment=PIP)
        assert machine.run("busyd", "--version").stdout.split()[1] == busyd.__version__
        machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))
        after = freebusy(machine)
        assert after is not None
        assert after["busy"] == before["busy"]
        assert "phone" in machine.run("busyd", "token", "list").stdout

        machine.shell("apt-get remove busyd")
        assert machine.run("test", "-e", "/opt/busyd", check=False).returncode != 0
        machine.run("test", "-e", "/var/lib/busyd/ledger.sqlite3")
        assert freebusy(machine) is None
        machine.shell("\n".join(commands_of("Uninstall")))
        left = machine.shell(
            "find / -xdev -iname '*busyd*' -not -path '/home/*' -not -path '/root/*' -not -path '/tmp/*'"
        )
        assert [path for path in left.splitlines() if "/journal/" not in path and "/apt/" not in path] == []
        assert machine.run("id", "busyd", check=False).returncode != 0


def follow_the_readme(machine: Machine) -> str:
    """What a person does who has just cloned the repository; the seconds of each command."""
    took = []
    for line in [*commands_of("Install and connect"), *commands_of("On a phone, or from another machine")]:
        command = line.partition("  #")[0].strip()
        if "setup" in command:
            have_a_user_of_the_package(machine)
            command += f" --url {account_url()}"
        began = time.monotonic()
        script = f"cd {CLONE} && {command}"
        done = machine.run("bash", "-euo", "pipefail", "-c", script, given=ANSWERS, environment=PIP)
        took.append((command, time.monotonic() - began))
    feed = re.search(r"/feeds/\S+\.ics", done.stdout)
    assert feed is not None, done.stdout
    text = machine.run("curl", "-s", f"http://127.0.0.1:8377{feed[0]}").stdout
    assert text.count("BEGIN:VEVENT") > 100
    assert machine.show("busyd", "UnitFileState") == "enabled"
    return "".join(
        f"\n{seconds:6.1f} s  {command}" for command, seconds in [*took, ("in all", sum(s for _, s in took))]
    )


def have_a_user_of_the_package(machine: Machine) -> None:
    """Before the service of the machine is set up, a user without root sets up one of their own, and ends it."""
    user = User.log_in(machine)
    user.shell(f"install -m 600 /dev/null password && echo {account.PASSWORD} > password")
    answers = setup_answers("password").replace(" --yes", "")
    told = user.shell(f"printf '\\n\\n\\n\\n' | script -qec 'busyd setup {answers}' /dev/null")
    assert "using /usr/lib/systemd/user/busyd.service" in told
    assert "it answers: anna is busy" in told
    user.shell("systemctl --user disable --now busyd")
    assert freebusy(machine) is None


def check_what_is_installed(machine: Machine) -> None:
    assert machine.run("busyd", "--version").stdout.split()[1] == OLDER
    assert "busyd setup" in machine.shell("zcat /usr/share/man/man1/busyd.1.gz").replace("\\fI\\,", "")
    machine.run("test", "-s", "/usr/share/bash-completion/completions/busyd")
    for unit in ("/lib/systemd/system/busyd.service", "--user /usr/lib/systemd/user/busyd.service"):
        verified = machine.run("systemd-analyze", "verify", *unit.split(), check=False)
        assert "busyd" not in verified.stderr, verified.stderr


def set_version(machine: Machine, version: str) -> None:
    line = shlex.quote(f's/^__version__ = .*/__version__ = "{version}"/')
    machine.shell(f"sed -i {line} {CLONE}/daemon/busyd/__init__.py")
