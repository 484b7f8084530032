"""What can go wrong with a file of the state directory, whichever store it belongs to."""

from busyd.errors import BusydError


class StorageError(BusydError):
    """A state file cannot be used at the moment: full disk, I/O error, locked by another process."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class StorageUnusable(StorageError):
    """A state file stays unusable until a person does something: wrong owner or type, made by a newer busyd."""


class StorageDamaged(StorageUnusable):
    """The file is not the database it should be."""


class Overlaps(BusydError):
    """The database has refused a row: something of busyd's own has that time."""

    def __init__(self) -> None:
        super().__init__("something that busyd has written, holds or blocks is in that time")
