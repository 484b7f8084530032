"""Where sealed secrets are kept: a file with one record that bundles all of them, or a table with one for each."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Protocol

from busyd.credentials.files import STORE_FILE, read_secret_bytes
from busyd.credentials.key import CredentialStoreUnreadable, write_durably
from busyd.os_errors import fault_of
from busyd.ownership import make_state_directory

BUNDLE: Final = ""
"""The name of the record that has all secrets in it."""
_LOCK_FILE: Final = "credentials.lock"

Changes = Mapping[str, bytes | None]
"""Name of a record -> what it is from now on; None for one that is to go."""


class SealedRecords(Protocol):
    """Where sealed secrets are kept. Its methods block."""

    where: str
    """As a person is told of it."""
    is_bundle: bool
    """Whether all secrets are in one record."""

    def read(self) -> Mapping[str, bytes]:
        """All records by name. Raises CredentialStoreUnreadable, StorageError."""

    def change(self, work: Callable[[Mapping[str, bytes]], Changes]) -> None:
        """Change what `work` says, given all there is: all of it or nothing, and nobody else meanwhile.

        Raises as `read`; TryAgain, Misconfigured on disk errors.
        """


class SealedFile:
    """`SealedRecords` in a file of the state directory: one bundle."""

    is_bundle = True

    def __init__(self, path: Path, *, require_in_place: Callable[[], object] = lambda: None) -> None:
        """`require_in_place` is called where there is no file, and raises where there should be one."""
        self.path = path
        self.where = str(path)
        self._require_in_place = require_in_place
        self._is_locked = False

    @classmethod
    def of(cls, state_directory: Path, *, require_in_place: Callable[[], object] = lambda: None) -> "SealedFile":
        return cls(state_directory / STORE_FILE, require_in_place=require_in_place)

    def read(self) -> Mapping[str, bytes]:
        try:
            return {BUNDLE: read_secret_bytes(self.path)}
        except FileNotFoundError:
            self._require_in_place()
            return {}
        except OSError as error:
            message = f"cannot read {self.path}: {(error.strerror or 'unknown reason').lower()}"
            raise CredentialStoreUnreadable(message, fix="run busyd as the owner of its state directory") from None

    def change(self, work: Callable[[Mapping[str, bytes]], Changes]) -> None:
        with self.locked():
            content = work(self.read()).get(BUNDLE)
            assert content is not None, "a bundle is changed as a whole"
            write_durably(self.path, content)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time, across processes; again within the block for nothing."""
        if self._is_locked:
            yield
            return
        folder = self.path.parent
        try:
            make_state_directory(folder)
            lock = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                self._is_locked = True
                yield
            finally:
                self._is_locked = False
                os.close(lock)
        except OSError as error:
            fix = "run this as the user busyd runs as, or pass another --state" if error.errno == errno.EACCES else ""
            raise fault_of(error, f"cannot write to {folder}", fix=fix) from None
