"""What `busyd doctor` says of the state directory: owner, modes, and space on its disk."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from busyd.cli.disk_space import FREE_SOME, find_lack_of_space
from busyd.cli.doctor_report import Level, ReportEntry
from busyd.cli.exit_status import ExitStatus
from busyd.ownership import describe_user

_PRIVATE_FILES: Final = (
    "changes.sqlite3",
    "credentials",
    "credentials.key",
    "ledger.sqlite3",
    "mirror.sqlite3",
    "refused-logins.json",
    "local-admin-token",
)


def examine_state(state: Path) -> Iterator[ReportEntry]:
    """Does the state directory exist, is it ours, is it closed to others, and is there space on its disk?"""
    try:
        status = state.stat()
    except FileNotFoundError:
        yield ReportEntry("state", "state", Level.WARNING, "there is no state directory yet; busyd has not run here")
        return
    except OSError as error:
        message = f"cannot access the state directory: {(error.strerror or 'access denied').lower()}"
        yield ReportEntry("state", "state", Level.FAILED, message, ("run this as the user busyd runs as",))
        return
    if not stat.S_ISDIR(status.st_mode):
        yield ReportEntry("state", "state", Level.FAILED, "the state directory is not a directory")
        return
    if status.st_uid != os.geteuid() != 0:
        message = "the state directory belongs to another user"
        yield ReportEntry("state", "state-owner", Level.WARNING, message, ("run this as the user busyd runs as",))
    open_files = [name for name in _PRIVATE_FILES if _mode(state / name) & 0o077]
    if stat.S_IMODE(status.st_mode) & 0o077:
        message = f"other users can access the state directory (mode {stat.S_IMODE(status.st_mode):04o})"
        yield ReportEntry("state", "state-mode", Level.WARNING, message, ("run `chmod 700` on the directory",))
    elif not open_files:
        yield ReportEntry("state", "state-mode", Level.OK, "only its owner can access the state directory")
    if foreign := [name for name in _PRIVATE_FILES if _owner(state / name) not in (None, status.st_uid)]:
        message = f"files in the state directory do not belong to its owner: {', '.join(foreign)}"
        step = f"run `chown {describe_user(status.st_uid)}: {' '.join(foreign)}` in the state directory"
        yield ReportEntry("state", "state-owner", Level.FAILED, message, (step,), status=ExitStatus.CONFIG)
    if open_files:
        message = f"other users can read {', '.join(open_files)} in the state directory"
        step = f"run `chmod 600 {' '.join(open_files)}` in the state directory"
        yield ReportEntry("state", "state-files", Level.FAILED, message, (step,))
    if lack := find_lack_of_space(state):
        yield ReportEntry("state", "disk", Level.FAILED, lack, (FREE_SOME,), status=ExitStatus.TRY_AGAIN)


def _mode(path: Path) -> int:
    try:
        found = path.lstat()  # not of what a link leads to: `chmod` would follow it
    except OSError:
        return 0
    return stat.S_IMODE(found.st_mode) if stat.S_ISREG(found.st_mode) else 0


def _owner(path: Path) -> int | None:
    try:
        return path.lstat().st_uid
    except OSError:
        return None
