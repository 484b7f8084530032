"""What can go wrong with a file of the state directory, whichever store it belongs to."""

from busyd.errors import BusydError


class StorageError(BusydError):
    """A state file cannot be used at the moment: full disk, I/O error, locked by another process."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class OutOfSpace(StorageError):
    """There is no space left where it is kept. What needs none may still be written."""


class StorageUnusable(StorageError):
    """A state file stays unusable until a person does something: wrong owner or type, made by a newer busyd."""


class StoredElsewhere(StorageUnusable):
    """The ledger is somewhere else than the configuration says, or on its way."""


class StorageDamaged(StorageUnusable):
    """The file is not the database it should be."""


class SessionEnded(StorageError):
    """Another daemon may have taken over what this process did: nothing was written, and nothing can be any more."""


class Overlaps(BusydError):
    """The database has refused a row: something of busyd's own has that time."""

    def __init__(self) -> None:
        super().__init__("something that busyd has written, holds or blocks is in that time")
