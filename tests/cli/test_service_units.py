"""The unit of a user behaves as that of the machine, wherever a user's systemd can."""

from pathlib import Path

from busyd.cli.service_units import render_user_unit

UNIT = Path(__file__).parents[2] / "systemd" / "busyd.service"
DIFFERENT = {"ExecStart", "ExecReload", "RestartPreventExitStatus", "WantedBy"}
OF_THE_MACHINE = {"User", "Group", "StateDirectory", "RuntimeDirectory", "TasksMax", "After", "Wants"}


def settings(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def test_what_both_units_set_is_the_same() -> None:
    users, machines = settings(render_user_unit("/opt/busyd/bin/python")), settings(UNIT.read_text())
    both = users.keys() & machines.keys() - DIFFERENT
    assert {name: users[name] for name in both} == {name: machines[name] for name in both}
    assert {"WatchdogSec", "Restart", "RestartSec", "MemoryMax", "KillMode", "TimeoutStopSec", "UMask"} <= both
    assert OF_THE_MACHINE.isdisjoint(users)


def test_a_user_s_daemon_finds_its_own_files_and_gives_up_for_the_same_faults() -> None:
    users, machines = settings(render_user_unit("/opt/busyd/bin/python")), settings(UNIT.read_text())
    (start,), (of_machine,) = users["ExecStart"], machines["ExecStart"]
    assert start == of_machine.replace(" --config /etc/busyd/config.yaml", "")
    given_up = [set(one["RestartPreventExitStatus"][0].split()) for one in (users, machines)]
    assert {"64", "78"} <= given_up[0] <= given_up[1]
