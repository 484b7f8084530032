"""How far a database had come when this daemon saw it last, in a file of the state directory.

So it is noticed where the database has gone back and nothing in it says so: the files of its server, or a snapshot of
the disk that they are on, were put back.
"""

from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from busyd.regular_file import read_regular_file
from busyd.store.postgresql.restoring import SeenState

SEEN_FILE: Final = "database-seen"


class SeenDatabase:
    """That file. Without it, or a disk that takes it, nothing else is the matter."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SEEN_FILE
        self._noted: SeenState | None = None

    def read(self) -> SeenState | None:
        """What was noted last, by an earlier daemon; None where that is not known."""
        with suppress(OSError, msgspec.MsgspecError):
            return msgspec.json.decode(read_regular_file(self._path), type=SeenState)
        return None

    def note(self, seen: SeenState) -> None:
        """Remember this. Blocks."""
        if seen != self._noted:
            with suppress(OSError):
                new = self._path.with_name(f"{SEEN_FILE}.new")
                new.write_bytes(msgspec.json.encode(seen))
                new.replace(self._path)
                self._noted = seen
