"""busyd as a user's own service, installed, used and removed as the README says."""

from collections.abc import Iterator

import pytest

from tests.systemd.account import PASSWORD
from tests.systemd.conftest import CLONE, bare_machine, freebusy, is_complete, setup_answers
from tests.systemd.machine import Machine
from tests.systemd.old_files import leave_old_files
from tests.systemd.readme import commands_of
from tests.systemd.user import User

VENV = "~/busyd/lib/python3.11/site-packages"


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with bare_machine(tmp_path_factory.mktemp("user")) as machine:
        machine.shell(f"cp -r {CLONE} /srv/busyd && chmod -R a+rX /srv/busyd")
        yield machine


def journal(machine: Machine) -> str:
    machine.run("journalctl", "--sync")
    return machine.run("journalctl", "--no-pager", "-o", "cat", "_SYSTEMD_USER_UNIT=busyd.service").stdout


def test_a_user_installs_uses_and_removes_a_service_of_their_own(bare: Machine) -> None:
    machine, user = bare, User.log_in(bare)
    user.shell(f"cp -r /srv/busyd clone && install -m 600 /dev/null password && echo {PASSWORD} > password")
    *install, setup, linger = commands_of("Install without root")
    user.shell("\n".join(["cd clone", *install]))

    told = user.shell(f"{setup} --service user {setup_answers('password')}")
    assert "the service of this user is enabled, and runs" in told
    assert "it answers: anna is busy" in told
    assert "`sudo loginctl enable-linger" in told
    before = freebusy(machine)
    assert before is not None and before["complete"]
    user.shell(linger)
    machine.run("test", "-e", "/var/lib/systemd/linger/lena")
    assert "enable-linger" not in user.shell("~/busyd/bin/busyd --help")

    # It starts again after a kill and after a hang.
    restarts = int(user.show("NRestarts"))
    machine.run("kill", "-9", user.main_pid())
    machine.wait_for(lambda: user.show("NRestarts") == str(restarts + 1) and is_complete(machine))
    hang = f"cp clone/tests/systemd/hang.py {VENV}/ && echo 'import hang' > {VENV}/hang.pth"
    drop_in = "mkdir -p ~/.config/systemd/user/busyd.service.d"
    short = "printf '[Service]\\nWatchdogSec=2s\\n' > ~/.config/systemd/user/busyd.service.d/short.conf"
    user.shell(f"{hang}; {drop_in}; {short}; systemctl --user daemon-reload; systemctl --user restart busyd")
    machine.shell("mkdir -p /run/busyd && echo busy-loop > /run/busyd/hang")
    machine.run("kill", "-USR1", user.main_pid())
    machine.wait_for(
        lambda: user.show("NRestarts") == "1" and is_complete(machine), describe=lambda: journal(machine)[-3000:]
    )
    assert "Fatal Python error: Aborted" in journal(machine)
    user.shell(f"rm -r {VENV}/hang.* ~/.config/systemd/user/busyd.service.d; systemctl --user daemon-reload")

    # A reload tells its outcome.
    user.shell("echo 'profilse: {}' >> ~/.config/busyd/config.yaml")
    assert "refused" in user.shell("systemctl --user reload busyd || echo refused")
    assert "profilse" in journal(machine)
    user.shell("sed -i '/profilse/d' ~/.config/busyd/config.yaml && systemctl --user reload busyd")

    # The command line finds it, and says how to start it.
    token = user.shell("~/busyd/bin/busyd token add anna --json")
    feed = token.split('"feed": "')[1].split('"')[0]
    assert "BEGIN:VEVENT" in machine.run("curl", "-s", f"http://127.0.0.1:8377{feed}").stdout
    user.shell("systemctl --user stop busyd")
    assert "`systemctl --user start busyd`" in user.shell("~/busyd/bin/busyd status || true")

    # An upgrade brings what an older version left up to date.
    leave_old_files(machine, f"{user.home}/.local/state/busyd", CLONE, owner="lena")
    user.shell("\n".join(["cd clone", *commands_of("Upgrade without root")]))
    machine.wait_for(lambda: is_complete(machine), describe=lambda: journal(machine)[-3000:])
    after = freebusy(machine)
    assert after is not None and after["busy"] == before["busy"]
    assert "phone" in user.shell("~/busyd/bin/busyd token list")

    user.shell("\n".join(commands_of("Uninstall without root")))
    left = machine.shell("find /home/lena -iname '*busyd*' -not -path '*/clone/*'")
    assert left == ""
    assert freebusy(machine) is None
