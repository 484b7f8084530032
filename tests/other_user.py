"""A user other than the one the tests run as, for tests that root alone can do."""

import codecs
import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = pwd.getpwnam("nobody")

# Nobody may be unable to read it from where Python is, and a codec that was not found once is never found again.
codecs.lookup("utf-8-sig")


def give_to_nobody(path: Path) -> None:
    """Make `nobody` the owner."""
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid, follow_symlinks=False)


def owners(folder: Path) -> set[int]:
    """The user numbers of everything below a directory."""
    return {path.lstat().st_uid for path in folder.rglob("*")}


@contextmanager
def being_nobody() -> Iterator[None]:
    """Be `nobody` inside, as far as files are concerned."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(NOBODY.pw_gid)
    os.seteuid(NOBODY.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
