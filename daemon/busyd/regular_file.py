"""Reading a file that somebody else may have put there: never waits for a pipe, never swallows a device."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def open_regular_file(path: Path) -> Iterator[BinaryIO]:
    """Open for reading what must be a regular file, or a link to one. Raises OSError: EISDIR, else EINVAL."""
    # O_NONBLOCK: a FIFO would have busyd wait for somebody who writes.
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        yield file


def read_regular_file(path: Path) -> bytes:
    """All of a regular file. Raises OSError as above."""
    with open_regular_file(path) as file:
        return file.read()
