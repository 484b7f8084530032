"""Where an installation keeps its stores: files in the state directory, or a database on a server."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from busyd.period import Instant
from busyd.store.backup import BackupUnusable, LedgerCopy, copy_ledger
from busyd.store.change_log import CHANGES_FILE, ChangeLog
from busyd.store.ledger import LEDGER_FILE, Ledger
from busyd.store.mirror import MIRROR_FILE, CalendarRecord
from busyd.store.sqlite.forms import require_not_moved
from busyd.store.store import Store, read_calendars_of_stopped


class Storage(Protocol):
    """Opens the stores. Everything blocks, and raises StorageError."""

    name: str
    """As a person is told of the place."""
    on_late_commit: Callable[[], object]
    """Called, on any thread, when something was kept after all that was told to have failed: what is in memory is no
    longer what is stored."""

    @property
    def has_ledger(self) -> bool:
        """Whether there is one, so that busyd has been used."""

    def require_ledger_in_place(self) -> None:
        """Raises StoredElsewhere where `open_ledger` would, which would begin an empty one otherwise."""

    def open_mirror(self) -> Store:
        """Open or make it. A damaged one is begun anew, with a warning: all of it can be read again."""

    def open_ledger(self) -> Ledger:
        """Open or make it. Raises StorageDamaged: a damaged one is never replaced by an empty one."""

    def open_change_log(self, *, now: Instant) -> ChangeLog:
        """Open or make it. In place of a damaged one another begins, with numbers that it cannot have reached."""

    def copy_ledger(self) -> LedgerCopy:
        """The ledger as it is at one moment, whoever writes it meanwhile. Raises BackupUnusable where there is none."""

    def calendars_of_stopped(self) -> list[CalendarRecord] | None:
        """The calendars of a daemon that does not run; none before its first start, None when they are not known."""


class SqliteStorage:
    """Files in the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = str(folder)
        self.on_late_commit: Callable[[], object] = lambda: None

    @property
    def has_ledger(self) -> bool:
        return os.path.lexists(self._folder / LEDGER_FILE)  # also where this user may not look

    def require_ledger_in_place(self) -> None:
        require_not_moved(self._folder / LEDGER_FILE)

    def open_mirror(self) -> Store:
        return Store.open_or_begin_anew(self._folder / MIRROR_FILE)

    def open_ledger(self) -> Ledger:
        """Raises TryAgain, Misconfigured when there is no directory for it."""
        return Ledger.open(self._folder / LEDGER_FILE)

    def open_change_log(self, *, now: Instant) -> ChangeLog:
        return ChangeLog.open_or_begin_anew(self._folder / CHANGES_FILE, now=now)

    def copy_ledger(self) -> LedgerCopy:
        path = self._folder / LEDGER_FILE
        require_not_moved(path)
        if not path.exists():
            message = f"there is nothing to back up: {self._folder} has no {LEDGER_FILE}"
            raise BackupUnusable(message, fix="pass --state with the directory that busyd uses")
        return copy_ledger(path)

    def calendars_of_stopped(self) -> list[CalendarRecord] | None:
        path = self._folder / MIRROR_FILE
        return read_calendars_of_stopped(path) if path.exists() else []
