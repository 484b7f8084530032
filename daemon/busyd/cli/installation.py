"""Which installation a command works on: its configuration, its state, and the daemon that runs on it.

What was named (`--config`, `--state`) is used. Otherwise the system's service comes first, if this user may enter its
state and a process works on it, then the user's own. A running daemon says which configuration it was started with.
"""

import os
import pwd
import stat
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from msgspec import Struct

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.config import Config, ConfigFaults, ConfigMissing, find_config, load_config
from busyd.config.load import SYSTEM_CONFIG, own_state, written_state
from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of, as_user, owner_of
from busyd.running import Running, find_running, holder_of


class SystemService(Struct, frozen=True):
    """Where the system's service keeps its files."""

    config: Path = SYSTEM_CONFIG
    state: Path = Path("/var/lib/busyd")
    user: str = "busyd"
    made_at_start: tuple[Path, ...] = (Path("/run/busyd"), Path("/run/credentials/busyd.service"))
    """Directories that exist only while it runs."""


SERVICE: Final = SystemService()


class Installation:
    """A configuration and a state directory that belong together."""

    def __init__(
        self, path: Path | None, state: Path, *, named: bool, service: SystemService, environment: Mapping[str, str]
    ) -> None:
        self.path = path
        """The configuration file; None when there is none."""
        self.state = state
        self.is_service = _same(state, service.state)
        self.is_closed = _is_directory(state) and not _may_enter(state)
        """This user may not enter the state directory, usually because it is that of the system's service."""
        self._named = named
        self._service = service
        self._environment = environment

    @property
    def is_in_use(self) -> bool:
        """A process works on the state, so a daemon will notice what is written there."""
        return self.holder is not None

    @property
    def holder(self) -> int | None:
        """The process that works on the state; 0 when it has not said which it is, None when there is none."""
        return _holder_on(self.state)

    @cached_property
    def running(self) -> Running | None:
        """The daemon that runs on the state, if one does and listens."""
        return _running_on(self.state)

    @cached_property
    def config(self) -> Config:
        """What the configuration says. Raises ConfigFaults, ConfigMissing; CommandFailed where only sudo would help."""
        if self.is_closed and (self.path is None or not os.access(self.path, os.R_OK, effective_ids=True)):
            self.require_access()
        path = self.config_path
        if not self.is_service:
            return load_config(path, self._environment)
        with self.as_its_user():  # what the service may not read does not count
            return load_config(path, self._environment)

    @property
    def config_path(self) -> Path:
        """The configuration file, whether it is there or not. Raises ConfigMissing when none was named or found."""
        return self.path or find_config(None, self._environment, system=self._service.config)

    @property
    def config_or_none(self) -> Config | None:
        """The same, or None where it is missing or invalid, for commands that can do without it."""
        try:
            return self.config
        except (ConfigFaults, ConfigMissing, CommandFailed):
            return None

    @property
    def made_at_start(self) -> tuple[Path, ...]:
        """Directories that are not there yet, because systemd makes them when it starts the daemon."""
        return self._service.made_at_start if self.is_service and not self.is_in_use else ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables for reading passwords: those of this process, and the credentials of the unit."""
        given = self.running.credentials if self.running is not None else ""
        return {**self._environment, **({"CREDENTIALS_DIRECTORY": given} if given else {})}

    @property
    def user(self) -> int:
        """The id of the user this busyd runs as, the owner of its state. Raises TryAgain, Misconfigured."""
        if self.is_service and not os.path.lexists(self.state):  # before its first start
            with suppress(KeyError):
                return pwd.getpwnam(self._service.user).pw_uid
        return owner_of(self.state)

    @contextmanager
    def as_its_user(self) -> Iterator[None]:
        """As root, read files with the permissions of the daemon's user. For short, blocking work only."""
        if os.getuid() != 0:
            yield
            return
        # Imported while still root: the service's user may be unable to read root's Python.
        import ssl

        del ssl
        with as_user(self.user, self.state):
            yield

    @property
    def is_user_service(self) -> bool:
        """Whether the systemd of this user starts the daemon on this state."""
        with suppress(ConfigMissing):
            return _same(self.state, own_state(self._environment)) and user_unit_is_enabled(self._environment)
        return False

    @property
    def how_to_start(self) -> str:
        """What to do when no daemon runs on the state."""
        if (user := self._user_option) is not None:
            return f"run `systemctl {user}start busyd`; if that fails, `journalctl {user}-u busyd -p err` says why"
        return "start it with `busyd run`"

    @property
    def how_to_restart(self) -> str:
        """What to do when the daemon has to be started again."""
        if (user := self._user_option) is not None:
            return f"run `systemctl {user}restart busyd`"
        return "stop `busyd run` and start it again"

    @property
    def how_to_revive(self) -> str:
        """What to do when the daemon is there, but does not answer. systemd also ends one that does not stop."""
        if (user := self._user_option) is not None:
            return f"{self.how_to_restart}; `journalctl {user}-u busyd` says what it was doing"
        pid = self.holder
        return f"end it with `kill -9 {pid}`, and start it again with `busyd run`" if pid else self.how_to_restart

    @property
    def _user_option(self) -> str | None:
        """What systemctl needs in front of the name of the service; None where systemd starts none."""
        if self.is_service:
            return ""
        return "--user " if self.is_user_service else None

    def require_own(self) -> None:
        """Raises CommandFailed where this user may not be a daemon of this installation: systemd starts the service."""
        if self.is_service and (self.is_closed or (os.geteuid() == 0 and self.user != 0)):
            message = f"busyd runs as a service here, with the state directory {self.state}"
            fix = f"{self.how_to_start}; for a daemon of your own, pass --config and --state"
            raise CommandFailed(message, fix=fix, status=ExitStatus.CONFIG)
        self.require_access()

    def require_access(self) -> None:
        """Raises CommandFailed when this user may not look into the state."""
        if self.is_closed:
            raise self.closed()

    def closed(self) -> CommandFailed:
        """The error for a user who may not enter the state directory."""
        if not self.is_service:
            message = f"this user may not enter the state directory {self.state}"
            return CommandFailed(message, fix="run this as root or as the user busyd runs as, or pass another --state")
        message = f"busyd runs as a service here, and this user may not enter its state directory {self.state}"
        fix = (
            "use sudo, or use HTTP with a token from `sudo busyd token add PROFILE`; "
            "`busyd setup --service user` makes a service of your own"
        )
        return CommandFailed(message, fix=fix)

    def require_one_config(self) -> None:
        """Raises CommandFailed when the daemon was started with another configuration than the one that was named."""
        if self._named and self.running is not None and not _same(Path(self.running.config), self.path):
            message = f"the daemon on {self.state} was started with {self.running.config}, not with {self.path}"
            raise CommandFailed(
                message, fix="leave out --config and BUSYD_CONFIG, or restart the daemon with this file"
            )


def find_installation(
    arguments: Namespace, *, environment: Mapping[str, str] | None = None, service: SystemService = SERVICE
) -> Installation:
    """The installation that options, environment and machine mean. Raises ConfigMissing without a state directory."""
    environment = os.environ if environment is None else environment
    given = environment.get("BUSYD_CONFIG", "")
    path: Path | None = arguments.config or (Path(given) if given else None)
    state: Path | None = arguments.state
    named = path is not None
    if path is None and state is None and _may_enter(service.state) and _holder_on(service.state) is not None:
        state = service.state
    if path is None:
        path = _config_of(state, environment, service=service)
    if state is None:
        state = _state_of(path, environment, service=service)
    if not named and (running := _running_on(state)) is not None and _is_trusted(Path(running.config)):
        path = Path(running.config)
    return Installation(path, state, named=named, service=service, environment=environment)


def _config_of(state: Path | None, environment: Mapping[str, str], *, service: SystemService) -> Path | None:
    """The default configuration: the system's where its service is meant, else this user's."""
    if state is not None and _same(state, service.state) and os.path.lexists(service.config):
        return service.config
    try:
        return find_config(None, environment, system=service.config)
    except ConfigMissing:
        return None


def _state_of(path: Path | None, environment: Mapping[str, str], *, service: SystemService) -> Path:
    """The state that belongs to a configuration, valid or not."""
    if path is not None and (written := written_state(path, environment)) is not None:
        return written
    # systemd separates several with colons; busyd's unit has one.
    if given := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(given)
    candidates = [service.state]
    with suppress(ConfigMissing):
        candidates.append(own_state(environment))
    for candidate in candidates:
        running = _running_on(candidate)
        if running is not None and path is not None and _same(Path(running.config), path):
            return candidate
    of_system = path is None or _same(path, service.config)
    if of_system and _is_installed(service) and (path is not None or not _may_enter(service.state)):
        return service.state
    return own_state(environment)


def _is_installed(service: SystemService) -> bool:
    """Whether the machine has the service, started or not."""
    if os.path.lexists(service.state):
        return True
    with suppress(KeyError):
        return os.geteuid() == 0 and bool(pwd.getpwnam(service.user))
    return False


def _holder_on(state: Path) -> int | None:
    with suppress(PermissionError, TryAgain, Misconfigured), as_owner_of(state):
        return holder_of(state)
    return None


def _running_on(state: Path) -> Running | None:
    with suppress(PermissionError, TryAgain, Misconfigured), as_owner_of(state):
        return find_running(state)
    return None


def user_unit_folder(environment: Mapping[str, str]) -> Path:
    """Where this user's systemd looks for units first (systemd.unit(5))."""
    given = Path(environment.get("XDG_CONFIG_HOME", ""))
    folder = given if given.is_absolute() else Path(environment.get("HOME", ""), ".config")
    return folder / "systemd" / "user"


def user_unit_is_enabled(environment: Mapping[str, str]) -> bool:
    """Whether this user's systemd starts busyd by itself."""
    return os.path.lexists(user_unit_folder(environment) / "default.target.wants" / "busyd.service")


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _may_enter(state: Path) -> bool:
    return os.access(state, os.R_OK | os.X_OK, effective_ids=True)


def _is_trusted(config: Path) -> bool:
    """Root does not follow another user's record to a file which that user could have written."""
    try:
        return config.stat().st_uid in (0, os.geteuid())
    except OSError:
        return os.geteuid() != 0


def _same(path: Path, other: Path | None) -> bool:
    return other is not None and os.path.realpath(path) == os.path.realpath(other)
