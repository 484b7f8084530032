"""The state directory: who owns it, how it is created, and how root works in it.

Root may run commands on the state of a service that has its own user. A file that root leaves there would lock the
service out, and root must not follow a symbolic link that the service's user left there. So root works there as the
owner of the directory.
"""

import errno
import os
import pwd
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from busyd.errors import Misconfigured, TryAgain
from busyd.os_errors import fault_of

_MOST_LINKS: Final = 40
"""On one path, as in the kernel."""
_one_at_a_time = threading.RLock()
"""The user of a process is the same for all of its threads."""


@contextmanager
def as_owner_of(directory: Path) -> Iterator[None]:
    """As root, become the owner of the directory for the block; otherwise, and in root's own directories, do nothing.

    For short, blocking work: every thread of the process has that user meanwhile. Raises TryAgain, Misconfigured.
    """
    if os.getuid() != 0:
        yield
        return
    # Looked at only once it is our turn: another thread may have made this process somebody else.
    with _one_at_a_time, as_user(owner_of(directory) if os.geteuid() == 0 else 0, directory):
        yield


@contextmanager
def as_user(uid: int, directory: Path) -> Iterator[None]:
    """As root, become this user for the block, for work that has to do with the directory; likewise."""
    if os.getuid() != 0:
        yield
        return
    with _one_at_a_time:
        if uid == 0 or os.geteuid() != 0:
            yield
            return
        before = os.getegid(), os.getgroups()
        try:
            _become(uid, directory)
            yield
        finally:
            os.seteuid(0)
            os.setegid(before[0])
            os.setgroups(before[1])


def owner_of(directory: Path) -> int:
    """The id of the user who controls the directory: its owner, or that of the nearest existing parent.

    Where that is root, but another user owns a directory or a link on the path, it is that user, who could redirect the
    path. Raises TryAgain, Misconfigured when the path cannot be examined.
    """
    suspect = owner = 0
    try:
        for step in _way_to(directory):
            suspect = step.st_uid or suspect
            if not stat.S_ISLNK(step.st_mode):
                owner = step.st_uid
    except OSError as error:
        raise fault_of(error, f"cannot access {directory}") from None
    return owner or suspect


def make_state_directory(directory: Path) -> None:
    """Create the directory, accessible only to its owner. Raises TryAgain, Misconfigured.

    Missing parents are created only in the home directory: elsewhere, a missing parent more likely means an unmounted
    disk, and busyd would start from scratch on the wrong one.
    """
    try:
        if _is_at_home(directory):
            directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        if directory.is_symlink() and not directory.exists():
            raise _not_there(Path(os.path.realpath(directory))) from None
        message = f"the state directory {directory} is not a directory"
        raise Misconfigured(message, fix="move it away, or pass another --state") from None
    except FileNotFoundError:
        raise _not_there(directory.parent) from None
    except OSError as error:
        raise fault_of(error, f"cannot create the state directory {directory}") from None


def obstacle_of(path: Path, access: int) -> OSError | None:
    """What keeps this user from accessing an existing file or directory (`access`: os.R_OK etc.); None if nothing does.

    Never opens it: closing any descriptor of a database would drop the locks that SQLite holds in this process.
    """
    try:
        if os.access(path, access, effective_ids=True):
            return None
        if access & os.W_OK and os.statvfs(path).f_flag & os.ST_RDONLY:
            return OSError(errno.EROFS, os.strerror(errno.EROFS))
        owner, us = describe_user(path.stat().st_uid), describe_user(os.geteuid())
    except OSError as error:
        return error
    return OSError(errno.EACCES, f"{path.name} belongs to {owner}, and user {us} may not use it")


def advice_on_access(state: Path) -> str:
    """What to do about a file in a state directory that this user may not use."""
    try:
        owner = state.stat().st_uid
    except OSError:
        return ""
    return give_back(state) if owner == os.geteuid() else f"run this as {describe_user(owner)}, or as root"


def give_back(state: Path) -> str:
    """The command that gives everything in a state directory to this user."""
    return f"chown -R {describe_user(os.geteuid())}: {state}"


def describe_user(uid: int) -> str:
    """The name of a user, or the id where there is no name, as `chown` accepts them."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def groups_of(uid: int) -> tuple[int, list[int]]:
    """The primary group of a user, and all groups the user belongs to."""
    try:
        user = pwd.getpwuid(uid)
    except KeyError:  # a dynamic user of systemd has a group of the same number
        return uid, [uid]
    return user.pw_gid, os.getgrouplist(user.pw_name, user.pw_gid)


def _way_to(directory: Path) -> Iterator[os.stat_result]:
    """Every directory and symbolic link on the path, from the root, as far as they exist."""
    here, names, links = Path("/"), list(directory.absolute().parts[1:]), 0
    while names:
        step = here / names.pop(0)
        try:
            status = step.lstat()
        except FileNotFoundError:
            return
        yield status
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            target = step.readlink()
            here = Path("/") if target.is_absolute() else here
            names = [*target.parts[1 if target.is_absolute() else 0 :], *names]
        else:
            here = step


def _become(uid: int, directory: Path) -> None:
    """Switch to a user and their own groups, not the directory's, to which they need not belong."""
    group, groups = groups_of(uid)
    try:
        os.setgroups(groups)
        os.setegid(group)
        os.seteuid(uid)
    except OSError as error:
        message = f"cannot work in {directory} as its owner, {describe_user(uid)}"
        raise fault_of(error, message, fix=f"run this as {describe_user(uid)}") from None


def _is_at_home(directory: Path) -> bool:
    home, state = (Path(os.environ.get(name, "")) for name in ("HOME", "XDG_STATE_HOME"))
    # Checked last: root acting as another user may be unable to access root's own home.
    at_home = home.is_absolute() and directory.is_relative_to(home) and home.is_dir()
    return at_home or (state.is_absolute() and directory.is_relative_to(state))


def _not_there(parent: Path) -> TryAgain:
    message = f"cannot create the state directory: {parent} does not exist"
    return TryAgain(message, fix="mount the disk it is on, create it, or pass another --state")
