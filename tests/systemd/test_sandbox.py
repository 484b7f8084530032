"""What the service may not do, tried in its own mount namespace as its own user."""

from tests.systemd.machine import Machine


def as_the_service(machine: Machine, script: str) -> str:
    """What a script says, run where the daemon runs; its own shell comes from outside the sandbox."""
    pid = machine.main_pid("busyd")
    user, group = (machine.run("id", flag, "busyd").stdout.strip() for flag in ("-u", "-g"))
    command = ["nsenter", "-t", str(pid), "-m", "setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    done = machine.run(*command, "/bin/sh", "-c", script, check=False)
    return done.stdout + done.stderr


def test_nothing_can_be_executed_from_where_the_service_can_write(shared_machine: Machine) -> None:
    for folder in ("/var/lib/busyd", "/run/busyd", "/tmp", "/var/tmp", "/dev/shm"):
        script = f"printf '#!/bin/sh\\necho ran\\n' > {folder}/script && chmod 755 {folder}/script && {folder}/script"
        told = as_the_service(shared_machine, script)
        assert "ran" not in told.split(), (folder, told)
        assert "denied" in told or "ead-only" in told, (folder, told)


def test_nothing_can_be_executed_from_the_configuration(shared_machine: Machine) -> None:
    shared_machine.write("/etc/busyd/script", "#!/bin/sh\necho ran\n", mode=0o755, owner="root:busyd")
    assert "denied" in as_the_service(shared_machine, "/etc/busyd/script")


def test_the_service_cannot_write_its_configuration(shared_machine: Machine) -> None:
    shared_machine.run("chown", "busyd", "/etc/busyd", "/etc/busyd/config.yaml")
    assert "ead-only" in as_the_service(shared_machine, "echo x >> /etc/busyd/config.yaml")
    assert "ead-only" in as_the_service(shared_machine, "touch /etc/busyd/new.yaml")


def test_the_sandbox_is_what_the_unit_promises(shared_machine: Machine) -> None:
    shared_machine.main_pid("busyd")
    level = shared_machine.run("systemd-analyze", "security", "--no-pager", "busyd", "--threshold=11", check=False)
    assert level.returncode == 0, level.stdout
