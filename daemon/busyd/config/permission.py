"""Why a file may not be read by the user a process is at the moment, and the cure: the one wording for all of them."""

import grp
import os
from contextlib import suppress
from pathlib import Path

from busyd.ownership import describe_user


def why_unreadable(path: Path) -> str:
    """What is in the way, the file itself or a directory above it, and how to mend it; for root to type."""
    user, group = describe_user(os.geteuid()), str(os.getegid())
    with suppress(KeyError):
        group = grp.getgrgid(os.getegid()).gr_name
    for folder in reversed(path.absolute().parents):
        if folder.is_dir() and not os.access(folder, os.X_OK, effective_ids=True):
            return f"{user} may not enter {folder}: `chgrp {group} {folder}` and `chmod g+x {folder}`"
    return f"{user} may not read {path}: `chgrp {group} {path}` and `chmod 640 {path}`"


def is_readable(path: Path) -> bool:
    """Whether this user may read the file; True where there is none, which is another fault."""
    try:
        with path.open("rb"):
            return True
    except PermissionError:
        return False
    except OSError:
        return True
