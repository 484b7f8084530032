"""What a running daemon leaves in its state directory for the command line: that it lives, and how it is reached.

The flock on `lock` says that a process works on the directory; `running.json` says how the daemon there was started. A
record without the lock, or of another process than the lock's, is what a crash left behind.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from busyd.address import ListenAddress, TcpAddress, UnixAddress
from busyd.regular_file import open_regular_file, read_regular_file

LOCK_FILE: Final = "lock"
"""Held by a process as long as it works on the directory; its process id is in it."""
RECORD_FILE: Final = "running.json"
_MOST_DIGITS: Final = 20


class Running(Struct, frozen=True):
    """How a daemon was started: what is needed to reach it even when its configuration was changed since."""

    pid: int
    config: str
    """Absolute path of its configuration file."""
    listen: tuple[str, ...]
    """Where it listens, as `ListenAddress` is written."""
    started: str
    """RFC 3339."""
    certificate: str = ""
    """The certificate it shows, in PEM; empty without TLS."""
    credentials: str = ""
    """`$CREDENTIALS_DIRECTORY`, where systemd put what the unit passes on; empty outside such a unit."""

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """`listen` as values."""
        return tuple(_parse(text) for text in self.listen)


def write_record(state: Path, record: Running) -> None:
    """Put the record in place, mode 0600. Raises OSError."""
    path = state / RECORD_FILE
    temporary = path.with_suffix(".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(record) + b"\n")
    temporary.replace(path)


def remove_record(state: Path) -> None:
    """Take the record away; nothing happens when it is gone already."""
    with contextlib.suppress(OSError):
        (state / RECORD_FILE).unlink()


def find_running(state: Path) -> Running | None:
    """The daemon that runs on a state directory and listens, or None. Raises PermissionError."""
    holder = holder_of(state)
    if holder is None:
        return None
    try:
        record = msgspec.json.decode(read_regular_file(state / RECORD_FILE), type=Running)
    except PermissionError:
        raise
    except (OSError, msgspec.DecodeError):
        return None
    return record if record.pid == holder else None


def holder_of(state: Path) -> int | None:
    """The process that works on a state directory, or None; 0 when it has not yet said which it is.

    Raises PermissionError when this user may not look.
    """
    try:
        with open_regular_file(state / LOCK_FILE) as lock:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                return None
            text = lock.read(_MOST_DIGITS).strip()
    except PermissionError:
        raise
    except OSError:
        return None
    return int(text) if text.isdigit() else 0


def _parse(text: str) -> ListenAddress:
    if text.startswith("unix:"):
        return UnixAddress(Path(text.removeprefix("unix:")))
    host, _, port = text.rpartition(":")
    return TcpAddress(host.strip("[]"), int(port))
