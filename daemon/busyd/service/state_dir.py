"""What belongs to this machine and this state directory: the lock, the local token, the machine's own time zone."""

import errno
import fcntl
import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from busyd.credentials.files import KEY_FILE, STORE_FILE
from busyd.credentials.tokens import LOCAL_TOKEN_NAME, is_local
from busyd.durable_file import replace_file
from busyd.errors import Misconfigured, TryAgain, UserError
from busyd.ical.tzfile import load_zone
from busyd.os_errors import fault_of
from busyd.ownership import describe_user, give_back, make_state_directory, obstacle_of, owner_of
from busyd.period import Instant
from busyd.regular_file import read_regular_file
from busyd.running import LOCK_FILE
from busyd.store.change_log import CHANGES_FILE
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import MIRROR_FILE

logger = logging.getLogger(__name__)

ADMIN_TOKEN_FILE: Final = LOCAL_TOKEN_NAME
IDENTITY_FILE: Final = "daemon-id"
_MOST_DIGITS: Final = 20
ADMIN_SCOPES: Final = ("freebusy", "details", "book", "admin")
_TRIES: Final = 5
_PAUSE: Final = 0.02
_FILES: Final[Mapping[str, int]] = {
    LOCK_FILE: os.R_OK | os.W_OK,
    LEDGER_FILE: os.R_OK | os.W_OK,
    f"{LEDGER_FILE}-journal": os.R_OK | os.W_OK,
    MIRROR_FILE: os.R_OK | os.W_OK,
    f"{MIRROR_FILE}-wal": os.R_OK | os.W_OK,
    f"{MIRROR_FILE}-shm": os.R_OK | os.W_OK,
    CHANGES_FILE: os.R_OK | os.W_OK,
    f"{CHANGES_FILE}-wal": os.R_OK | os.W_OK,
    f"{CHANGES_FILE}-shm": os.R_OK | os.W_OK,
    STORE_FILE: os.R_OK,
    KEY_FILE: os.R_OK,
}
"""What the daemon does with each file of the state directory. What it only ever replaces is not among them."""
_LOCALTIME: Final = Path("/etc/localtime")
_TIMEZONE: Final = Path("/etc/timezone")


class StateInUse(TryAgain):
    """Another busyd works on this state directory."""


def prepare_state(state: Path) -> None:
    """Have the state directory, and look over what is in it, before anything is opened.

    Raises Misconfigured where a person has to give files back to the user busyd runs as, or to move something away;
    TryAgain where the disk does not let us look.
    """
    owner = owner_of(state)
    if os.geteuid() == 0 and owner != 0:
        user = describe_user(owner)
        message = f"the state directory {state} belongs to {user}, who could not open what root makes there"
        raise Misconfigured(message, fix=f"run busyd as {user}, or start the service that does")
    make_state_directory(state)
    if obstacle := obstacle_of(state, os.R_OK | os.W_OK | os.X_OK):
        raise _state_fault(state, obstacle)
    refused = []
    for name, access in _FILES.items():
        path = state / name
        if path.exists() and not path.is_file():
            message = f"{path} is not a regular file"
            raise Misconfigured(message, fix="move it away, or name another --state")
        if path.exists() and (obstacle := obstacle_of(path, access)):
            refused.append(obstacle)
    if refused:
        reasons = "; ".join(str(obstacle.strerror) for obstacle in refused)
        raise _state_fault(state, OSError(refused[0].errno, reasons))


def _state_fault(state: Path, obstacle: OSError) -> UserError:
    fix = give_back(state) if obstacle.errno == errno.EACCES else ""
    return fault_of(obstacle, f"cannot use the state directory {state}", fix=fix)


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the state directory for this process. Raises StateInUse with the other's process id, and as `fault_of`."""
    path = state / LOCK_FILE
    # Not a file object: that would try again to write what did not fit, when it is closed, and hide the first error.
    lock = -1
    try:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _take(lock)
            text = f"{os.getpid()}\n".encode()
            os.pwrite(lock, text, 0)
            os.ftruncate(lock, len(text))
        except BlockingIOError:
            other = os.pread(lock, _MOST_DIGITS, 0).decode(errors="replace").strip() or "unknown"
            message = f"busyd is already running on {state} (process {other})"
            raise StateInUse(message, fix="stop it first, or give this one another --state") from None
        except OSError as error:
            raise fault_of(error, f"cannot lock {path}") from None
        yield
    finally:
        if lock >= 0:
            os.close(lock)


def _take(lock: int) -> None:
    """Lock the file; a command that only looks whether it is locked holds it for a moment. Raises BlockingIOError."""
    for _ in range(_TRIES - 1):
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
    return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def write_admin_token(state: Path, ledger: Ledger, *, now: Instant, daemon: str = "") -> None:
    """Have a token in a 0600 file with which the command line of the same user may ask the daemon for anything.

    `daemon` is what tells this one from others with the same ledger. Without that nobody shares it: what others had
    while it was in a database opens nothing any more.

    Raises OSError when the file cannot be written, StorageError when the ledger cannot.
    """
    path, name = state / ADMIN_TOKEN_FILE, LOCAL_TOKEN_NAME
    if daemon:
        name = f"{name}:{daemon}:{_identity(state)}"  # machines may have a name and this path in common
    own = ledger.find_token(_read_if_any(path), now)
    for token in ledger.tokens():
        if (own is None or token.id != own.id) and (is_local(token.name) if not daemon else token.name == name):
            ledger.revoke_token(token.id)
    if own is not None:
        return
    made = ledger.add_token("*", scopes=ADMIN_SCOPES, details=False, expires=None, name=name, now=now)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made.text + "\n")


def _identity(state: Path) -> str:
    """What tells a state directory from all others. Raises OSError."""
    path = state / IDENTITY_FILE
    if not (known := _read_if_any(path)):
        known = secrets.token_hex(8)
        replace_file(path, f"{known}\n".encode())
    return known


def _read_if_any(path: Path) -> str:
    try:
        return read_regular_file(path).decode().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def machine_zone(environment: Mapping[str, str]) -> str:
    """IANA name of the machine's zone: `$TZ` when it is one, else what the machine is set to, else UTC and a word."""
    named = environment.get("TZ", "").removeprefix(":")
    if named and not named.startswith("/") and load_zone(named) is not None:
        return named
    if _LOCALTIME.is_symlink():
        _, found, name = str(_LOCALTIME.readlink()).partition("zoneinfo/")
        name = name.removeprefix("posix/").removeprefix("right/")
        if found and load_zone(name) is not None:
            return name
    if _TIMEZONE.is_file():
        name = _TIMEZONE.read_text(encoding="utf-8", errors="replace").strip()
        if load_zone(name) is not None:
            return name
    if _LOCALTIME.exists():
        logger.warning("the name of this machine's time zone is not known; set `timezone:` for each profile")
    return "UTC"
