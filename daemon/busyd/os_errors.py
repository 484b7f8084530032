"""Which errors of the operating system are temporary, and which persist until a person changes something.

The table behind exit status 75 (systemd restarts the daemon) and 78 (it does not).
"""

import errno
from collections.abc import Mapping
from typing import Final

from busyd.errors import Misconfigured, TryAgain, UserError

PASSES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space, or raise the disk quota",
    errno.EIO: "the disk reports errors; see the kernel log",
    errno.EUCLEAN: "the file system needs repair; see the kernel log",
    errno.EROFS: "mount it read-write, or add the directory to ReadWritePaths= in the unit",
    errno.ENOENT: "mount the disk it is on, or create the directory",
    errno.ENODEV: "attach the disk it is on",
    errno.ENXIO: "attach the disk it is on",
    errno.ESTALE: "mount the network file system again",
    errno.ENOTCONN: "mount the network file system again",
    errno.ETIMEDOUT: "check the network and the server of that file system",
    errno.ENOKEY: "unlock the encrypted directory",
    errno.ENOLCK: "no locks are available; check the server of that file system",
    errno.EAGAIN: "another process is using it",
    errno.EBUSY: "another process is using it",
    errno.ETXTBSY: "another process is using it",
    errno.EINTR: "",
    errno.EMFILE: "raise LimitNOFILE= in the unit",
    errno.ENFILE: "close some programs; too many files are open on this machine",
    errno.ENOMEM: "free some memory",
    errno.ENOBUFS: "free some memory",
    errno.EADDRINUSE: "stop the program that uses it (another busyd?), or set another `listen:`",
    errno.EADDRNOTAVAIL: "this machine does not have that address now; bring its network up, or set another `listen:`",
    errno.ENETDOWN: "bring the network up",
}
"""errno -> what may help. An error in neither table counts as temporary: retrying does less harm than giving up."""
STAYS: Final[Mapping[int, str]] = {
    errno.EACCES: "give the user busyd runs as access to it",
    errno.EPERM: "give the user busyd runs as access to it",
    errno.ENOTDIR: "there is a file where a directory is needed; move it away, or use another path",
    errno.EISDIR: "there is a directory where a file is needed; move it away, or use another path",
    errno.EEXIST: "something else is already there; move it away, or use another path",
    errno.ENOTSOCK: "something else is already there; move it away, or use another path",
    errno.EPROTOTYPE: "another program's socket is already there; use another path",
    errno.ELOOP: "the symbolic links form a loop; use the real path",
    errno.ENAMETOOLONG: "use a shorter path",
    errno.EINVAL: "use another value",
    errno.EAFNOSUPPORT: "this machine does not support that kind of address; set another `listen:`",
    errno.EPROTONOSUPPORT: "this machine does not support that kind of address; set another `listen:`",
    errno.EOPNOTSUPP: "this file system lacks a feature that busyd needs; use another directory",
}
"""errno -> what to do."""


def passes_by_itself(error: OSError) -> bool:
    """Whether the same action may work later, without a change to busyd's configuration or files."""
    return error.errno not in STAYS


def fault_of(error: OSError, message: str, *, fix: str = "") -> UserError:
    """TryAgain or Misconfigured, with `message` and the reason; `fix` replaces the advice of the table."""
    number = error.errno or 0
    family = TryAgain if passes_by_itself(error) else Misconfigured
    reason = error.strerror or str(error) or "unknown reason"
    if reason[1:2].islower():
        reason = reason[0].lower() + reason[1:]
    return family(f"{message}: {reason}", fix=fix or PASSES.get(number) or STAYS.get(number, ""))
