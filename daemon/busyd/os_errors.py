"""Which errors of the operating system pass by themselves, and which stay until a person changes something.

The one table behind exit status 75 (started again) and 78 (not started again).
"""

import errno
from collections.abc import Mapping
from typing import Final

from busyd.errors import Misconfigured, TryAgain, UserError

PASSES: Final[Mapping[int, str]] = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room, or raise the disk quota",
    errno.EIO: "the disk reports errors: look at the kernel's log",
    errno.EUCLEAN: "the file system needs a repair: look at the kernel's log",
    errno.EROFS: "mount it read-write, or name the directory in ReadWritePaths= of the unit",
    errno.ENOENT: "is a disk not mounted? Otherwise make the directory",
    errno.ENODEV: "is a disk not attached?",
    errno.ENXIO: "is a disk not attached?",
    errno.ESTALE: "mount the network file system again",
    errno.ENOTCONN: "mount the network file system again",
    errno.ETIMEDOUT: "look at the network and the server of that file system",
    errno.ENOKEY: "unlock the encrypted directory",
    errno.ENOLCK: "the kernel has no lock to give: look at the server of that file system",
    errno.EAGAIN: "another process holds it",
    errno.EBUSY: "another process holds it",
    errno.ETXTBSY: "another process holds it",
    errno.EINTR: "",
    errno.EMFILE: "raise LimitNOFILE= of the unit",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "free some memory",
    errno.ENOBUFS: "free some memory",
    errno.EADDRINUSE: "is another busyd running? Otherwise set another `listen:`",
    errno.EADDRNOTAVAIL: "this machine has no such address now: bring its network up, or set another `listen:`",
    errno.ENETDOWN: "bring the network up",
}
"""errno -> what may help. What is in neither table is taken to pass: trying again harms less than staying away."""
STAYS: Final[Mapping[int, str]] = {
    errno.EACCES: "let the user busyd runs as use it",
    errno.EPERM: "let the user busyd runs as use it",
    errno.ENOTDIR: "a file is in the place of a directory: move it away, or name another path",
    errno.EISDIR: "a directory is in the place of a file: move it away, or name another path",
    errno.EEXIST: "something else is in its place: move it away, or name another path",
    errno.ENOTSOCK: "something else is in its place: move it away, or name another path",
    errno.EPROTOTYPE: "the socket of another program is in its place: name another path",
    errno.ELOOP: "symbolic links lead round in a circle: name the real path",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.EINVAL: "name another one",
    errno.EAFNOSUPPORT: "this machine cannot do that kind of address: set another `listen:`",
    errno.EPROTONOSUPPORT: "this machine cannot do that kind of address: set another `listen:`",
    errno.EOPNOTSUPP: "this file system cannot do what busyd needs: name another directory",
}
"""errno -> what to do."""


def passes_by_itself(error: OSError) -> bool:
    """Whether the very same may work later, with nothing changed in busyd's configuration or its files."""
    return error.errno not in STAYS


def fault_of(error: OSError, message: str, *, fix: str = "") -> UserError:
    """TryAgain or Misconfigured, saying `message` with the reason; `fix` is better advice than the table's."""
    number = error.errno or 0
    family = TryAgain if passes_by_itself(error) else Misconfigured
    reason = error.strerror or str(error) or "unknown reason"
    if reason[1:2].islower():
        reason = reason[0].lower() + reason[1:]
    return family(f"{message}: {reason}", fix=fix or PASSES.get(number) or STAYS.get(number, ""))
