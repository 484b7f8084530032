"""Every command of the README on the service without the package, run on a machine."""

import re

from tests.systemd import account
from tests.systemd.conftest import CLONE, freebusy, is_complete
from tests.systemd.machine import Machine
from tests.systemd.readme import commands_of, sentence
from tests.systemd.tree import PIP

CERTIFICATE = (
    "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    " -keyout /etc/ssl/private/busyd.key -out /etc/ssl/certs/busyd.pem 2>&1"
)


def do(machine: Machine, heading: str) -> None:
    machine.shell("\n".join([f"cd {CLONE}", *commands_of(heading)]), environment=PIP)


def edit(machine: Machine, before: str, *, after: str) -> None:
    text = machine.run("cat", "/etc/busyd/config.yaml").stdout
    assert before in text
    machine.run("tee", "/etc/busyd/config.yaml", given=text.replace(before, after))


def test_a_changed_configuration_is_checked_and_reloaded(machine: Machine) -> None:
    edit(machine, "timezone: Europe/Berlin", after="timezone: Europe/Lisbon")
    do(machine, "Change the configuration")
    assert "Lisbon" in str(machine.get("/v1/profiles"))


def test_a_password_comes_from_a_systemd_credential(machine: Machine) -> None:
    machine.run("busyd", "credential", "remove", "anna")
    commands = "\n".join(commands_of("Keep a password in a systemd credential"))
    machine.write("/root/commands", commands)
    # Only a terminal is asked for passwords.
    asked = machine.run("script", "-qec", "bash -eu /root/commands", "/dev/null", given=f"{account.PASSWORD}\n")
    assert "App-specific password:" in asked.stdout
    assert account.PASSWORD not in machine.run("cat", "/etc/busyd/anna.cred").stdout
    assert machine.run("stat", "-c", "%U %a", "/etc/busyd/anna.cred").stdout.startswith("root ")
    machine.run("systemctl", "stop", "busyd")
    machine.shell("rm /var/lib/busyd/mirror.sqlite3*")
    machine.run("systemctl", "start", "busyd")
    machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))


def test_tls_is_served_with_a_key_that_only_root_can_read(machine: Machine) -> None:
    machine.shell(CERTIFICATE)
    machine.run("chmod", "600", "/etc/ssl/private/busyd.key")
    do(machine, "Serve TLS with a key that only root can read")
    keys = "tls: {cert: /etc/ssl/certs/busyd.pem, key: /run/credentials/busyd.service/tls.key}\n"
    edit(machine, "connections:", after=f"{keys}connections:")
    machine.run("systemctl", "restart", "busyd")
    ask = "curl -s --cacert /etc/ssl/certs/busyd.pem https://localhost:8377/v1/profiles"
    assert "anna" in machine.wait_for(lambda: machine.shell(ask, check=False))


def test_a_backup_is_put_in_place_again(machine: Machine) -> None:
    commands = commands_of("Backup and restore")
    stop = commands.index("systemctl stop busyd")
    token = machine.shell("busyd token add anna --json").split('"id": "')[1].split('"')[0]
    machine.shell("\n".join(commands[:stop]))
    made = machine.shell("ls /var/backups/busyd/*.zip").strip()
    assert machine.run("stat", "-c", "%a", made).stdout.strip() == "600"
    machine.run("busyd", "token", "revoke", token)
    assert token not in machine.run("busyd", "token", "list").stdout
    restore = [re.sub(r"\S+\.zip", made, command) for command in commands[stop:]]
    machine.shell("\n".join(restore))
    machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd"))
    assert token in machine.run("busyd", "token", "list").stdout, "tokens revoked since then are valid again"
    assert "before-restore-" in machine.run("ls", "/var/lib/busyd").stdout


def test_a_password_in_the_file_needs_a_file_that_only_the_service_can_read(machine: Machine) -> None:
    edit(machine, "{credential: anna}", after=account.PASSWORD)
    for rights, is_accepted in [("chown root:busyd FILE && chmod 640 FILE", False), (sentence("chown busyd:"), True)]:
        machine.shell(rights.replace("FILE", "/etc/busyd/config.yaml"))
        machine.run("systemctl", "restart", "busyd", check=False)
        assert (machine.show("busyd", "ActiveState") == "active") is is_accepted, machine.journal("busyd")[-2000:]
    machine.wait_for(lambda: is_complete(machine))


def test_a_configuration_written_by_hand_is_read_with_the_rights_of_the_readme(machine: Machine) -> None:
    machine.shell("cp /etc/busyd/config.yaml /root/by-hand && rm /etc/busyd/config.yaml")
    machine.shell("install -m 600 /root/by-hand /etc/busyd/config.yaml")
    machine.shell(sentence("chgrp busyd"))
    machine.run("systemctl", "restart", "busyd")
    edit(machine, "connections:", after="listen: [127.0.0.1:8377, unix:/run/busyd/busyd.sock]\nconnections:")
    machine.run("systemctl", "restart", "busyd")
    machine.shell("useradd --groups busyd member && useradd outsider")
    ask = "curl -s --max-time 20 --unix-socket /run/busyd/busyd.sock http://localhost/v1/profiles"
    assert "anna" in machine.run("runuser", "-u", "member", "--", *ask.split()).stdout
    assert machine.run("runuser", "-u", "outsider", "--", *ask.split(), check=False).stdout == ""


def test_an_upgrade_keeps_tokens_and_answers(machine: Machine) -> None:
    token = machine.shell("busyd token add anna --json")
    before = freebusy(machine)
    do(machine, "Upgrade by hand")
    machine.wait_for(lambda: is_complete(machine))
    after = freebusy(machine)
    assert before is not None and after is not None
    assert after["busy"] == before["busy"]
    assert token.split('"id": "')[1].split('"')[0] in machine.run("busyd", "token", "list").stdout


def test_an_uninstall_leaves_nothing(machine: Machine) -> None:
    do(machine, "Uninstall by hand")
    left = machine.shell("find / -xdev -iname '*busyd*' -not -path '/root/*' -not -path '/tmp/*' -not -path '/proc/*'")
    assert [path for path in left.splitlines() if "/journal/" not in path] == []
    assert machine.run("id", "busyd", check=False).returncode != 0
