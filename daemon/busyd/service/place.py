"""What belongs to this machine and this state directory: the lock, the local token, the machine's own time zone."""

import fcntl
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from busyd.errors import TryAgain
from busyd.ical.tzfile import load_zone
from busyd.period import Instant
from busyd.running import LOCK_FILE
from busyd.store.ledger import Ledger

logger = logging.getLogger(__name__)

ADMIN_TOKEN_FILE: Final = "local-admin-token"
ADMIN_SCOPES: Final = ("freebusy", "details", "book", "admin")
_TRIES: Final = 5
_PAUSE: Final = 0.02
_LOCALTIME: Final = Path("/etc/localtime")
_TIMEZONE: Final = Path("/etc/timezone")


class StateInUse(TryAgain):
    """Another busyd works on this state directory."""


@contextmanager
def locked(state: Path) -> Iterator[None]:
    """Hold the state directory for this process. Raises StateInUse with the other's process id."""
    with (state / LOCK_FILE).open("a+") as lock:
        if not _take(lock):
            lock.seek(0)
            message = f"busyd is already running on {state} (process {lock.read().strip() or 'unknown'})"
            raise StateInUse(message, fix="stop it first, or give this one another --state")
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _take(lock: TextIO) -> bool:
    """Lock the file; a command that only looks whether it is locked holds it for a moment."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        else:
            return True
    return False


def write_admin_token(state: Path, ledger: Ledger, now: Instant) -> None:
    """Have a token in a 0600 file with which the command line of the same user may ask the daemon for anything."""
    path = state / ADMIN_TOKEN_FILE
    if path.exists() and ledger.find_token(path.read_text().strip(), now) is not None:
        return
    for token in ledger.tokens():
        if token.name == ADMIN_TOKEN_FILE:
            ledger.revoke_token(token.id)
    made = ledger.add_token("*", scopes=ADMIN_SCOPES, details=False, expires=None, name=ADMIN_TOKEN_FILE, now=now)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(made.text + "\n")


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
