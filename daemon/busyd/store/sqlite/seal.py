"""A seal on a file that was closed: the digest of all of it, kept beside it. SQLite notices few damages by itself.

It is broken as soon as the file is opened, so it says something only of a file that was closed in order. To look at the
whole file takes the longer the larger it is, so that is not part of breaking it.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from busyd.durable_file import sync_folder

_DIGEST: Final = "sha256"
"""The fastest in the standard library: many processors have instructions for it."""
_LENGTH: Final = 2 * hashlib.new(_DIGEST).digest_size


def seal(path: Path) -> None:
    """Put a seal on a closed file. Raises OSError."""
    temporary = path.with_name(path.name + ".seal.new")
    with temporary.open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(digest_of(path))
        file.flush()
        os.fsync(file.fileno())  # else a loss of power could leave a seal that fits nothing
    temporary.replace(_seal_of(path))


def break_seal(path: Path) -> bytes | None:
    """Take the seal off, for good, before the file is changed; what `digest_of` has to be, or None without a seal.

    Raises OSError.
    """
    try:
        found = _seal_of(path).read_bytes()
    except FileNotFoundError:
        return None
    _seal_of(path).unlink()
    sync_folder(path.parent)  # else a loss of power could put an old seal on a new file
    return found if len(found) == _LENGTH else None  # earlier releases had another digest


def digest_of(path: Path) -> bytes:
    """What a seal on the file says. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, _DIGEST).hexdigest().encode()


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + ".seal")
