"""A daemon that hangs is ended by the watchdog with its stack in the journal, and one that is killed comes back."""

from tests.systemd.conftest import CLONE, freebusy, is_complete
from tests.systemd.machine import Machine

KINDS = {
    "busy-loop": "hang.py",
    "blocking-call": "hang.py",
    "held-interpreter": "hang.py",
    "lock": "hang.py",
    "store-thread": "hang.py",
}
"""How it hangs -> what stands in the journal then."""
SITE_PACKAGES = "/opt/busyd/lib/python3.11/site-packages"
EARLY_ENDS = "/var/lib/busyd/early-ends"


def test_a_hung_daemon_is_ended_with_its_stack_in_the_journal_and_comes_back(machine: Machine) -> None:
    machine.run("cp", f"{CLONE}/tests/systemd/hang.py", f"{SITE_PACKAGES}/hang.py")
    machine.write(f"{SITE_PACKAGES}/hang.pth", "import hang\n")
    machine.shell("mkdir -p /etc/systemd/system/busyd.service.d")
    machine.write("/etc/systemd/system/busyd.service.d/watchdog.conf", "[Service]\nWatchdogSec=2s\n")
    machine.shell("systemctl daemon-reload && systemctl restart busyd")
    before = freebusy(machine)
    assert before is not None
    for count, kind in enumerate(KINDS, start=1):
        machine.run("rm", "-f", EARLY_ENDS)
        machine.write("/run/busyd/hang", kind)
        machine.run("kill", "-USR1", str(machine.main_pid("busyd")))
        machine.wait_for(
            lambda count=count: machine.show("busyd", "NRestarts") == str(count) and freebusy(machine),  # type: ignore[misc]
            describe=lambda: machine.journal("busyd")[-3000:],
        )
        told = machine.journal("busyd", "--grep", "Watchdog timeout|Fatal Python error|File ")
        assert told.count("Watchdog timeout") == count, kind
        assert told.count("Fatal Python error: Aborted") == count, kind
    after = freebusy(machine)
    assert after is not None and after["busy"] == before["busy"]


def test_kills_in_the_first_sync_leave_nothing_undone(machine: Machine) -> None:
    expected = freebusy(machine)
    machine.run("systemctl", "stop", "busyd")
    machine.shell("rm /var/lib/busyd/mirror.sqlite3*")
    machine.run("systemctl", "start", "busyd")
    for _ in range(5):
        machine.run("rm", "-f", "/var/lib/busyd/early-ends")
        machine.run("kill", "-9", str(machine.main_pid("busyd")))
        machine.wait_for(lambda: freebusy(machine))
    machine.wait_for(lambda: is_complete(machine), describe=lambda: machine.journal("busyd")[-3000:])
    answer = freebusy(machine)
    assert expected is not None and answer is not None
    assert answer["busy"] == expected["busy"]
