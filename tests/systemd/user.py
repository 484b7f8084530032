"""A person with an account on the machine, who is logged in."""

from dataclasses import dataclass

from tests.systemd.machine import Machine
from tests.systemd.tree import PIP

NAME = "lena"


@dataclass(frozen=True, slots=True)
class User:
    """Runs commands as that person, with a systemd of their own."""

    machine: Machine
    number: str

    @classmethod
    def log_in(cls, machine: Machine) -> "User":
        """Make the account, and start what a login starts."""
        machine.run("useradd", "--create-home", "--shell", "/bin/bash", NAME)
        machine.write(f"/etc/sudoers.d/{NAME}", f"{NAME} ALL=(ALL) NOPASSWD: ALL\n", mode=0o440)
        number = machine.run("id", "-u", NAME).stdout.strip()
        machine.run("systemctl", "start", f"user@{number}.service")
        return cls(machine, number)

    @property
    def home(self) -> str:
        return f"/home/{NAME}"

    def shell(self, script: str, *, check: bool = True) -> str:
        """What a script prints, also what it says of errors."""
        variables = {
            "HOME": self.home, "USER": NAME, "LOGNAME": NAME, "XDG_RUNTIME_DIR": f"/run/user/{self.number}", **PIP
        }  # fmt: skip
        given = [f"{name}={value}" for name, value in variables.items()]
        command = ["runuser", "-u", NAME, "--", "env", "--chdir", self.home, *given]
        done = self.machine.run(*command, "bash", "-euo", "pipefail", "-c", f"{script}\n", check=check)
        return done.stdout + done.stderr

    def show(self, name: str) -> str:
        """One property of the unit."""
        return self.shell(f"systemctl --user show --value -p {name} busyd").strip()

    def main_pid(self) -> str:
        """The daemon's process, or an AssertionError."""
        pid = self.show("MainPID")
        assert int(pid) > 1, self.show("StatusText")
        return pid
