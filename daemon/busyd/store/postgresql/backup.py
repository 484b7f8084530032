"""The ledger of a database, copied for a backup while daemons work on it."""

from contextlib import closing

from msgspec.structs import replace

from busyd.store.backup import BackupUnusable, LedgerCopy, collect_ledger
from busyd.store.postgresql.forms import has_schema, require_not_moved
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.postgresql.tables import PostgresTables
from busyd.store.table_copy import copy_and_compare


def copy_ledger(server: DatabaseServer) -> LedgerCopy:
    """The ledger as it is at one moment, in the form that SQLite keeps. Raises BackupUnusable, StorageError."""
    patient = replace(server, is_patient=True)
    with server.errors(), closing(patient.connect(LEDGER.schema)) as connection:
        server.require_supported(connection)
        db = PostgresSession(connection)
        db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        require_not_moved(db, LEDGER.schema, where=server.name)
        if not has_schema(db, LEDGER.schema):
            message = f"there is nothing to back up: {server.name} has no ledger"
            raise BackupUnusable(message, fix="pass --config with the configuration that busyd uses")
        tables = PostgresTables(db, LEDGER, name=f"schema {LEDGER.schema} in {server.name}")
        tables.require_sound()
        return collect_ledger(lambda copy: copy_and_compare(tables, copy))
