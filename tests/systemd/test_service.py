"""The shipped unit on a real systemd, installed as the README says, with the simulated iCloud as iCloud."""

from tests.systemd.conftest import freebusy
from tests.systemd.machine import Machine


def test_the_first_sync_of_hundreds_of_events_is_complete_and_right(shared_machine: Machine) -> None:
    machine = shared_machine
    answer = freebusy(machine)
    assert answer is not None
    assert answer["busy"] == [
        {"start": f"2027-03-01T{hour:02}:00:00Z", "end": f"2027-03-01T{hour:02}:{minutes}:00Z", "type": "BUSY"}
        for hour, minutes in [(7, 30), (8, 30), (9, 30), (10, 30), (13, 10), (14, 10), (15, 10)]
    ]
    problems = machine.run("busyd", "status", "--json").stdout
    assert '"problems": []' in problems, problems


def test_the_worker_runs_and_dies_first_when_memory_runs_out(shared_machine: Machine) -> None:
    machine = shared_machine
    daemon = machine.main_pid("busyd")
    machine.run("busyd", "sync")
    scores = machine.shell(f"for pid in $(pgrep -P {daemon}); do cat /proc/$pid/oom_score_adj; done").split()
    assert set(scores) == {"1000"}, "the worker of the first sync waits for more work for a while"
    assert machine.shell(f"cat /proc/{daemon}/oom_score_adj").strip() == "0"
    assert machine.show("busyd", "OOMPolicy") == "continue"
    assert "worker" not in machine.journal("busyd", "-p", "warning")


def test_a_killed_daemon_is_back_and_answers_the_same(shared_machine: Machine) -> None:
    machine = shared_machine
    before, pid = freebusy(machine), machine.main_pid("busyd")
    restarts = int(machine.show("busyd", "NRestarts"))
    machine.run("kill", "-9", str(pid))
    machine.wait_for(lambda: machine.show("busyd", "NRestarts") == str(restarts + 1) and freebusy(machine))
    after = freebusy(machine)
    assert before is not None and after is not None
    assert after["busy"] == before["busy"]
    assert after["complete"]


def test_a_reload_of_a_faulty_file_fails_and_changes_nothing(shared_machine: Machine) -> None:
    machine = shared_machine
    before = freebusy(machine)
    sound = machine.run("cat", "/etc/busyd/config.yaml").stdout
    machine.shell("echo 'profilse: {}' >> /etc/busyd/config.yaml")
    refused = machine.run("systemctl", "reload", "busyd", check=False)
    assert refused.returncode != 0
    assert "refused" in machine.show("busyd", "StatusText")
    assert "profilse" in machine.journal("busyd", "-p", "err")
    assert "profilse" in machine.run("busyd", "status").stderr, "status works beside a faulty file, and says so"
    assert freebusy(machine) == before or freebusy(machine) is not None
    machine.run("tee", "/etc/busyd/config.yaml", given=sound)
    machine.run("systemctl", "reload", "busyd")
    assert "refused" not in machine.show("busyd", "StatusText")


def test_what_root_makes_in_the_state_belongs_to_the_service(shared_machine: Machine) -> None:
    machine = shared_machine
    machine.run("busyd", "token", "add", "anna")
    machine.run("busyd", "credential", "set", "other", given="another-password\n")
    owners = machine.shell("find /var/lib/busyd -printf '%U %p\\n' | sort -u")
    service_user = machine.run("id", "-u", "busyd").stdout.strip()
    assert {line.split()[0] for line in owners.splitlines()} == {service_user}, owners
    machine.run("systemctl", "restart", "busyd")
    assert machine.show("busyd", "ActiveState") == "active"


def test_a_token_that_root_makes_is_known_to_the_daemon(shared_machine: Machine) -> None:
    machine = shared_machine
    token = machine.shell("busyd token add anna --scope details --json").split('"token": "')[1].split('"')[0]
    explain = "http://127.0.0.1:8377/v1/profiles/anna/explain?start=2027-03-01&end=2027-03-02"
    assert "Filler" in machine.run("curl", "-s", "-H", f"Authorization: Bearer {token}", explain).stdout


def test_another_user_gets_a_sentence_and_never_a_dead_token(shared_machine: Machine) -> None:
    machine = shared_machine
    machine.run("useradd", "--create-home", "bob")
    made = machine.run("su", "bob", "-c", "busyd token add anna", check=False)
    assert made.returncode != 0
    assert "bd_" not in made.stdout + made.stderr
    assert "sudo" in made.stderr


def test_root_starts_no_second_daemon_beside_the_service(shared_machine: Machine) -> None:
    machine = shared_machine
    for _ in range(2):
        refused = machine.run("busyd", "run", check=False)
        assert refused.returncode == 78
        assert "`systemctl start busyd`" in refused.stderr
        assert machine.run("test", "-e", "/root/.local/state/busyd", check=False).returncode != 0
        machine.run("systemctl", "stop", "busyd")
    assert "`systemctl start busyd`" in machine.run("busyd", "status", check=False).stderr
    assert "not running" in machine.run("busyd", "doctor", check=False).stdout
    machine.run("systemctl", "start", "busyd")


def test_a_service_that_is_stopped_by_a_signal_is_running_and_not_answering(shared_machine: Machine) -> None:
    machine = shared_machine
    pid = str(machine.main_pid("busyd"))
    machine.run("kill", "-STOP", pid)
    try:
        told = machine.run("busyd", "doctor", check=False).stdout
    finally:
        machine.run("kill", "-CONT", pid)
    assert "failed   daemon: running, but it does not answer" in told
    assert "`systemctl restart busyd`" in told


def test_a_socket_in_the_runtime_directory_is_no_fault_while_the_service_is_stopped(shared_machine: Machine) -> None:
    machine = shared_machine
    sound = machine.run("cat", "/etc/busyd/config.yaml").stdout
    machine.run("systemctl", "stop", "busyd")
    machine.run("tee", "/etc/busyd/config.yaml", given=f"listen: [127.0.0.1:8377, unix:/run/busyd/s]\n{sound}")
    assert "/run/busyd" not in machine.run("busyd", "check").stderr
    machine.run("systemctl", "start", "busyd")
    machine.run("test", "-S", "/run/busyd/s")
    machine.run("tee", "/etc/busyd/config.yaml", given=sound)
    machine.run("systemctl", "restart", "busyd")
