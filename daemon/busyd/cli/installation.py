"""Which busyd a command speaks of: its configuration, its state, and the daemon that runs on it.

What was named (`--config`, `--state`) counts. Else the system's service comes first where this user may enter its state
and a process works on it, then the user's own. A daemon that runs says itself which configuration it was started with.
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

from busyd.cli.exit_status import CommandFailed
from busyd.config import Config, ConfigFaults, ConfigMissing, find_config, load_config
from busyd.config.load import SYSTEM_CONFIG, own_state, written_state
from busyd.errors import Misconfigured, TryAgain
from busyd.ownership import as_owner_of, as_user, owner_of
from busyd.running import Running, find_running, holder_of


class Service(Struct, frozen=True):
    """Where the system's own service has its things."""

    config: Path = SYSTEM_CONFIG
    state: Path = Path("/var/lib/busyd")
    user: str = "busyd"


SERVICE: Final = Service()


class Installation:
    """A configuration and a state directory that belong together."""

    def __init__(
        self, path: Path | None, state: Path, *, named: bool, service: Service, environment: Mapping[str, str]
    ) -> None:
        self.path = path
        """The configuration file; None when there is none."""
        self.state = state
        self.is_service = _same(state, service.state)
        self.is_closed = _is_directory(state) and not _may_enter(state)
        """This user may not look into the state, which is mostly that of the system's service."""
        self._named = named
        self._service = service
        self._environment = environment

    @cached_property
    def is_in_use(self) -> bool:
        """A process works on the state: what is written there is known to the daemon."""
        return _is_held(self.state)

    @cached_property
    def running(self) -> Running | None:
        """The daemon that runs on the state and listens."""
        return _running_on(self.state)

    @cached_property
    def config(self) -> Config:
        """What the configuration says. Raises ConfigFaults, ConfigMissing; CommandFailed where only sudo would help."""
        if self.is_closed and (self.path is None or not os.access(self.path, os.R_OK, effective_ids=True)):
            self.require_access()
        path = self.path or find_config(None, self._environment, system=self._service.config)
        if not self.is_service:
            return load_config(path, self._environment)
        with self.as_its_user():  # what the service may not read is as good as not there
            return load_config(path, self._environment)

    @property
    def config_if_right(self) -> Config | None:
        """The same, or None where a command can do without it."""
        try:
            return self.config
        except (ConfigFaults, ConfigMissing, CommandFailed):
            return None

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which passwords are read: those of this process, and the credentials of the unit."""
        given = self.running.credentials if self.running is not None else ""
        return {**self._environment, **({"CREDENTIALS_DIRECTORY": given} if given else {})}

    @property
    def user(self) -> int:
        """The user number this busyd runs as: of the owner of its state. Raises TryAgain, Misconfigured."""
        if self.is_service and not os.path.lexists(self.state):  # before its first start
            with suppress(KeyError):
                return pwd.getpwnam(self._service.user).pw_uid
        return owner_of(self.state)

    @contextmanager
    def as_its_user(self) -> Iterator[None]:
        """As root, read files as the daemon will: with its user's rights. Short, blocking work only."""
        if os.getuid() != 0:
            yield
            return
        # Loaded before: the user of the service need not be able to read the Python that root has.
        import ssl

        del ssl
        with as_user(self.user, self.state):
            yield

    def require_access(self) -> None:
        """Raises CommandFailed when this user may not look into the state."""
        if self.is_closed:
            raise self.closed()

    def closed(self) -> CommandFailed:
        """What to tell a user who may not look into the state."""
        if not self.is_service:
            message = f"this user may not look into the state directory {self.state}"
            return CommandFailed(message, fix="run this as root, or as the user busyd runs as; or name another --state")
        message = f"busyd runs here as a service, and this user may not look into its state ({self.state})"
        fix = "use sudo, or ask over HTTP with a token that `sudo busyd token add PROFILE` makes"
        return CommandFailed(message, fix=fix)

    def require_one_config(self) -> None:
        """Raises CommandFailed when the daemon was started with another configuration than the one that was named."""
        if self._named and self.running is not None and not _same(Path(self.running.config), self.path):
            message = f"the daemon on {self.state} was started with {self.running.config}, not with {self.path}"
            raise CommandFailed(message, fix="leave out --config (and BUSYD_CONFIG), or start it with this file")


def find_installation(
    arguments: Namespace, *, environment: Mapping[str, str] | None = None, service: Service = SERVICE
) -> Installation:
    """What options, environment and machine say. Raises ConfigMissing when there is no place for a state."""
    environment = os.environ if environment is None else environment
    given = environment.get("BUSYD_CONFIG", "")
    path: Path | None = arguments.config or (Path(given) if given else None)
    state: Path | None = arguments.state
    named = path is not None
    if path is None and state is None and _may_enter(service.state) and _is_held(service.state):
        state = service.state
    if path is None:
        path = _config_of(state, environment, service)
    if state is None:
        state = _state_of(path, environment, service)
    if not named and (running := _running_on(state)) is not None and _is_trusted(Path(running.config)):
        path = Path(running.config)
    return Installation(path, state, named=named, service=service, environment=environment)


def _config_of(state: Path | None, environment: Mapping[str, str], service: Service) -> Path | None:
    """The usual configuration: of the system where its service is meant, else of this user."""
    if state is not None and _same(state, service.state) and os.path.lexists(service.config):
        return service.config
    try:
        return find_config(None, environment, system=service.config)
    except ConfigMissing:
        return None


def _state_of(path: Path | None, environment: Mapping[str, str], service: Service) -> Path:
    """The state that goes with a configuration, whether it is right or not."""
    if path is not None and (written := written_state(path, environment)) is not None:
        return written
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


def _is_installed(service: Service) -> bool:
    """Whether the machine has the service, started or not."""
    if os.path.lexists(service.state):
        return True
    with suppress(KeyError):
        return os.geteuid() == 0 and bool(pwd.getpwnam(service.user))
    return False


def _is_held(state: Path) -> bool:
    with suppress(PermissionError, TryAgain, Misconfigured), as_owner_of(state):
        return holder_of(state) is not None
    return False


def _running_on(state: Path) -> Running | None:
    with suppress(PermissionError, TryAgain, Misconfigured), as_owner_of(state):
        return find_running(state)
    return None


def _is_directory(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return False


def _may_enter(state: Path) -> bool:
    return os.access(state, os.R_OK | os.X_OK, effective_ids=True)


def _is_trusted(config: Path) -> bool:
    """Root follows no pointer of another user to a file that this user could have written."""
    try:
        return config.stat().st_uid in (0, os.geteuid())
    except OSError:
        return os.geteuid() != 0


def _same(one: Path, other: Path | None) -> bool:
    return other is not None and os.path.realpath(one) == os.path.realpath(other)
