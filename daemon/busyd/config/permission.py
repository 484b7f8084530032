"""Why the current user may not read a file, and the commands that would change that. One wording for all files."""

import grp
import os
from contextlib import suppress
from pathlib import Path

from busyd.ownership import describe_user


def why_unreadable(path: Path, *, may_hold_password: bool = False) -> str:
    """What denies access, the file itself or a directory above it, and the commands for root that allow it.

    `may_hold_password`: a configuration with a password in it must not be readable even for the group.
    """
    user, group = describe_user(os.geteuid()), str(os.getegid())
    with suppress(KeyError):
        group = grp.getgrgid(os.getegid()).gr_name
    for folder in reversed(path.absolute().parents):
        if folder.is_dir() and not os.access(folder, os.X_OK, effective_ids=True):
            return f"user {user} may not enter {folder}: run `chgrp {group} {folder}` and `chmod g+x {folder}`"
    otherwise = f", or, if a password is in it, {how_to_make_private(path)}" if may_hold_password else ""
    return f"user {user} may not read {path}: run `chgrp {group} {path}` and `chmod 640 {path}`{otherwise}"


def how_to_make_private(path: Path) -> str:
    """The commands after which this user alone may read a file."""
    mode = f"`chmod 600 {path}`"
    try:
        belongs_to_us = path.stat().st_uid == os.geteuid()
    except OSError:
        belongs_to_us = False
    return mode if belongs_to_us else f"`chown {describe_user(os.geteuid())}: {path}` and {mode}"


def is_readable(path: Path) -> bool:
    """Whether this user may read the file; True for a missing file, which is reported elsewhere."""
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:
        return True
