"""The stores in a database on a server."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from busyd.period import Instant
from busyd.store.backup import LedgerCopy
from busyd.store.change_log import ChangeLog
from busyd.store.errors import StorageDamaged, StoredElsewhere
from busyd.store.ledger import Ledger
from busyd.store.mirror import CalendarRecord
from busyd.store.postgresql.backup import copy_ledger
from busyd.store.postgresql.change_log_schema import CHANGE_LOG
from busyd.store.postgresql.connection import StoredTables, TransactionConnection
from busyd.store.postgresql.database import PostgresDatabase
from busyd.store.postgresql.forms import require_not_moved
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.restoring import replace_ledger
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.store import Store
from busyd.store.transaction import Transaction

logger = logging.getLogger(__name__)


class PostgresStorage:
    """Schemas of one database: a `Storage`."""

    def __init__(self, server: DatabaseServer, *, beside: Path) -> None:
        """`beside` is where a ledger is that is not in a database."""
        self.server = server
        """With the session of a daemon, once it has begun one."""
        self.name = server.name
        self.beside = beside
        self.on_late_commit: Callable[[], object] = lambda: None

    @property
    def has_ledger(self) -> bool:
        return self._has(LEDGER)

    def open_mirror(self) -> Store:
        try:
            return Store(self._open(MIRROR), is_shared=True)
        except StorageDamaged as error:
            logger.warning("%s; they are made anew, and everything is read again", error)
            return Store(self._open(MIRROR, anew=True), is_shared=True)

    def require_ledger_in_place(self) -> None:
        self._require_none_beside()
        with self.server.errors(), self.server.connect(LEDGER.schema) as connection:
            require_not_moved(PostgresSession(connection), LEDGER.schema, where=self.server.name)

    def _require_none_beside(self) -> None:
        """What that has would be lost without a word."""
        if self.beside.exists():
            message = f"the stores are to be in {self.server.name}, and there is {self.beside}"
            fix = "move it there with `busyd migrate-store postgresql`, or, to go on without it, to another directory"
            raise StoredElsewhere(message, fix=fix)

    def open_ledger(self) -> Ledger:
        self._require_none_beside()
        return Ledger(LedgerTables(self.server, on_late_commit=self._tell_late_commit))

    def open_change_log(self, *, now: Instant) -> ChangeLog:
        try:
            return ChangeLog(self._open(CHANGE_LOG))
        except StorageDamaged as error:
            logger.warning("%s; the log of changes begins anew", error)
            return ChangeLog.begin_after(self._open(CHANGE_LOG, anew=True), now=now)

    def copy_ledger(self) -> LedgerCopy:
        self._require_none_beside()
        return copy_ledger(self.server)

    def replace_ledger(self, staged: Path, *, now: Instant, last: Callable[[PostgresSession], object]) -> str:
        """As `restoring.replace_ledger`; raises StoredElsewhere, too."""
        self._require_none_beside()
        return replace_ledger(self.server, staged, now=now, last=last)

    def calendars_of_stopped(self) -> list[CalendarRecord] | None:
        if not self._has(MIRROR):
            return []
        with contextlib.closing(self._open(MIRROR)) as database:
            return database.read_now(lambda db: Transaction(db).read_calendars())

    def _has(self, tables: StoredTables) -> bool:
        with self.server.errors(), self.server.connect(tables.schema) as connection:
            row = connection.execute("SELECT to_regclass(%s)", (f"{tables.schema}.schema_version",)).fetchone()
            return row is not None and row[0] is not None

    def _open(self, tables: StoredTables, *, anew: bool = False) -> PostgresDatabase:
        return PostgresDatabase(
            TransactionConnection(self.server, tables, on_late_commit=self._tell_late_commit, anew=anew)
        )

    def _tell_late_commit(self) -> None:
        self.on_late_commit()
