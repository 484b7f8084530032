"""What keeps the service from starting: a fault that waits for a person ends it, one that passes by itself does not."""

import pytest

from tests.systemd.conftest import freebusy, is_complete
from tests.systemd.machine import Machine

WAITS_FOR_A_PERSON = {
    "unknown key": ("echo 'profilse: {}' >> /etc/busyd/config.yaml", "profilse"),
    "unreadable configuration": ("chmod 600 /etc/busyd/config.yaml; chown root: /etc/busyd/config.yaml", "config.yaml"),
    "no configuration": ("rm /etc/busyd/config.yaml", "config"),
    "state of another owner": ("chown -R root: /var/lib/busyd/mirror.sqlite3", "mirror.sqlite3"),
    "directory in place of the ledger": (
        "rm /var/lib/busyd/ledger.sqlite3; mkdir /var/lib/busyd/ledger.sqlite3",
        "ledger.sqlite3",
    ),
    "unreadable TLS key": (
        "install -m 600 /dev/null /etc/busyd/key.pem;"
        " sed -i '1i tls: {cert: /etc/busyd/key.pem, key: /etc/busyd/key.pem}'"
        " /etc/busyd/config.yaml",
        "key.pem",
    ),
    "socket path that is a file": (
        "install -o busyd /dev/null /var/lib/busyd/busyd.sock; sed -i '1i listen: unix:/var/lib/busyd/busyd.sock'"
        " /etc/busyd/config.yaml",
        "busyd.sock",
    ),
}
PASSES_BY_ITSELF = {
    "address not there yet": (
        "sed -i '1i listen: 192.0.2.7:8377\\nbehind_proxy: true' /etc/busyd/config.yaml",
        "ip address add 192.0.2.7/32 dev lo",
        "192.0.2.7",
    ),
    "address taken": (
        "systemd-run --unit=squatter python3 -m http.server --bind 127.0.0.1 8377; sleep 1",
        "systemctl stop squatter",
        "8377",
    ),
    "full disk": (
        "mount -t tmpfs -o size=8k,uid=busyd,mode=700 tmpfs /var/lib/busyd",
        "umount /var/lib/busyd",
        "busyd",
    ),
}


def test_a_fault_that_waits_for_a_person_is_told_once_and_not_tried_again(machine: Machine) -> None:
    machine.shell("cp -a /etc/busyd /root/sound-configuration; cp -a /var/lib/busyd /root/sound-state")
    for kind, (do, named) in WAITS_FOR_A_PERSON.items():
        machine.run("systemctl", "stop", "busyd")
        machine.shell(do)
        assert machine.run("systemctl", "start", "busyd", check=False).returncode != 0, kind
        assert machine.show("busyd", "ExecMainStatus") == "78", (kind, machine.journal("busyd")[-2000:])
        assert machine.show("busyd", "ActiveState") == "failed", kind
        this_start = f"_SYSTEMD_INVOCATION_ID={machine.show('busyd', 'InvocationID')}"
        until_told(machine, named, this_start)
        assert "Traceback" not in machine.journal("busyd", this_start), kind
        machine.shell(
            "rm -rf /etc/busyd /var/lib/busyd; cp -a /root/sound-configuration /etc/busyd;"
            " cp -a /root/sound-state /var/lib/busyd; rm -rf /run/busyd"
        )
        machine.run("systemctl", "reset-failed", "busyd")
    machine.run("systemctl", "start", "busyd")
    assert freebusy(machine) is not None


def until_told(machine: Machine, named: str, *matches: str) -> None:
    """The journal may take what a service has said a moment after the service has ended."""
    machine.wait_for(
        lambda: named in machine.journal("busyd", "-p", "err", *matches),
        describe=lambda: machine.journal("busyd")[-2000:],
    )


@pytest.mark.parametrize("kind", PASSES_BY_ITSELF)
def test_a_fault_that_passes_by_itself_is_tried_again(machine: Machine, kind: str) -> None:
    break_it, mend_it, named = PASSES_BY_ITSELF[kind]
    machine.run("systemctl", "stop", "busyd")
    machine.shell("cp /etc/busyd/config.yaml /root/sound.yaml")
    machine.shell(break_it)
    machine.run("systemctl", "start", "busyd", check=False)
    machine.wait_for(lambda: "status=75" in machine.journal("busyd"), describe=lambda: machine.journal("busyd"))
    until_told(machine, named)
    machine.shell(mend_it)
    machine.wait_for(
        lambda: machine.show("busyd", "ActiveState") == "active", describe=lambda: machine.journal("busyd")
    )
    if kind != "address not there yet":
        machine.wait_for(lambda: is_complete(machine))
