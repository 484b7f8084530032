"""A seal on a file that was closed: the digest of all of it, kept beside it. SQLite notices few damages by itself.

It is broken as soon as the file is opened, so it says something only of a file that was closed in order.
"""

import contextlib
import hashlib
import hmac
import os
from pathlib import Path

from busyd.store.errors import StorageDamaged


def seal(path: Path) -> None:
    """Put a seal on a closed file. Raises OSError."""
    temporary = path.with_name(path.name + ".seal.new")
    temporary.write_bytes(_digest_of(path))
    temporary.chmod(0o600)
    temporary.replace(_seal_of(path))


def is_sealed(path: Path) -> bool:
    """Whether there is a seal on the file."""
    return _seal_of(path).exists()


def break_seal(path: Path) -> None:
    """Take the seal off, for good, before the file is changed. Raises OSError; StorageDamaged when it does not fit."""
    found = _seal_of(path).read_bytes()
    if not hmac.compare_digest(found, _digest_of(path)):
        message = f"{path} is damaged (it is not as it was closed)"
        raise StorageDamaged(message)
    _seal_of(path).unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)  # else a loss of power could put an old seal on a new file
    finally:
        os.close(folder)


def drop_seal(path: Path) -> None:
    """Take the seal off without a look."""
    with contextlib.suppress(FileNotFoundError):
        _seal_of(path).unlink()


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + ".seal")


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest().encode()
