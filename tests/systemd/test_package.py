"""The Debian package on a machine: built there, installed, set up, upgraded, removed and purged."""

from pathlib import Path

from tests.systemd import account
from tests.systemd.conftest import CLONE, PASSWORD_FILE, account_url, bare_machine, freebusy, is_complete
from tests.systemd.tree import PIP


def test_the_package_installs_answers_upgrades_and_leaves_nothing(tmp_path: Path) -> None:
    with bare_machine(tmp_path) as machine:
        machine.shell(f"cd {CLONE} && scripts/build-deb /root/dist", environment=PIP)
        told = machine.shell("dpkg -i /root/dist/busyd_*.deb")
        assert "sudo busyd setup" in told
        assert machine.run("busyd", "--version").stdout.startswith("busyd ")
        assert "busyd setup" in machine.shell("zcat /usr/share/man/man1/busyd.1.gz").replace("\\fI\\,", "")
        machine.run("test", "-s", "/usr/share/bash-completion/completions/busyd")
        machine.run("systemd-analyze", "verify", "--user", "/usr/lib/systemd/user/busyd.service", check=False)

        machine.write(PASSWORD_FILE, account.PASSWORD, mode=0o600)
        answers = f"--url {account_url()} --username {account.USER} --password-file {PASSWORD_FILE} --name anna"
        set_up = machine.shell(f"busyd setup {answers} --profile anna --primary Work --timezone Europe/Berlin --yes")
        assert "the service of this machine is enabled, and runs" in set_up
        assert "it answers: anna is busy" in set_up
        assert machine.show("busyd", "UnitFileState") == "enabled"
        before = freebusy(machine)

        machine.shell("dpkg -i /root/dist/busyd_*.deb")
        machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))
        after = freebusy(machine)
        assert before is not None and after is not None
        assert after["busy"] == before["busy"]

        machine.shell("dpkg --remove busyd")
        assert machine.run("test", "-e", "/opt/busyd", check=False).returncode != 0
        machine.run("test", "-e", "/var/lib/busyd/ledger.sqlite3")
        machine.shell("dpkg --purge busyd")
        for path in ("/var/lib/busyd", "/etc/busyd", "/usr/bin/busyd", "/lib/systemd/system/busyd.service"):
            assert machine.run("test", "-e", path, check=False).returncode != 0, path
        assert machine.run("id", "busyd", check=False).returncode != 0
