"""A ledger that is as it was earlier: from a backup, or because the whole database was put back to an earlier state.

Both happen in one transaction, in which no daemon has a session or can begin one, so that nobody goes on with what is
not so any more: sessions end with what they own, every row is looked at once, and whoever follows the log of changes is
told a `reset`, under a number that nobody has seen.

That the database was put back is noticed by where the ledger is. It has noted that when its tables were made: the
cluster, its timeline, the database, and a table. One of them is another one after what `pg_dump` has written was put
back, after a restore to a point in time, for a standby that was promoted, and in a copy of the database. None is where
the files of the server, or the disk that they are on, were put back as a whole, or tables were emptied and filled
again. That is noticed by a daemon that has seen a later entry in the log of changes. Where all of them have forgotten
that, whoever puts it back has to delete the row of `place`.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.credentials.records import Changes
from busyd.errors import TryAgain
from busyd.period import Instant, to_rfc3339
from busyd.store.backup import read_ledger
from busyd.store.errors import StorageDamaged
from busyd.store.ledger import profiles_in
from busyd.store.outbox import Outbox
from busyd.store.postgresql.change_log_schema import CHANGE_LOG
from busyd.store.postgresql.connection import StoredTables, TransactionConnection, bring_up_to_date
from busyd.store.postgresql.fleet import LEASE, Fleet
from busyd.store.postgresql.fleet_schema import FLEET
from busyd.store.postgresql.fleet_view import read_daemons
from busyd.store.postgresql.forms import aside_as, has_schema
from busyd.store.postgresql.ledger_schema import HERE, LEDGER
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.secret_schema import SECRETS
from busyd.store.postgresql.secrets import put_records
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.postgresql.tables import PostgresTables
from busyd.store.statements.changes import reset_all
from busyd.store.table_copy import copy_and_compare

_ASIDE: Final = "before_restore"
_LIVE: Final = "SELECT name FROM fleet.session WHERE until>clock_timestamp() ORDER BY name"
_EPOCH: Final = "replace(CAST(gen_random_uuid() AS text), '-', '')"


class SeenState(Struct, frozen=True):
    """How far a database had come."""

    here: str
    """Where its ledger was."""
    newest: int
    """The number of the newest entry in its log of changes: it never goes back by itself."""


def replace_ledger(
    server: DatabaseServer, staged: Path, *, now: Instant, last: Callable[[PostgresSession], object]
) -> str:
    """Have the ledger of a file in place of that of the database; what that is called now, empty if there was none.

    `last` is run when everything else is done, and what it raises undoes that. Raises TryAgain while a daemon runs, and
    StorageError.
    """
    with closing(Fleet(server)) as fleet:
        fleet.take_over()
        _require_stopped(server, [daemon.name for daemon in read_daemons(fleet) if daemon.left >= 0])

    def work(db: PostgresSession) -> str:
        _hold(db)
        _require_stopped(server, [name for (name,) in db.execute(_LIVE)])
        _end_sessions(db)
        aside = _set_aside(db, LEDGER, now=now)
        _use(db, LEDGER)
        bring_up_to_date(db, replace(LEDGER, is_kept=False), where=server.name)
        tables = PostgresTables(db, LEDGER, name=server.name)
        tables.begin_filling()
        read_ledger(staged, lambda backup: copy_and_compare(backup, tables))
        tables.end_filling()
        _reset_log(db, now, where=server.name)
        last(db)
        return aside

    with closing(TransactionConnection(replace(server, is_patient=True), FLEET)) as connection:
        return connection.write(work)


def replace_secrets(db: PostgresSession, records: Changes, *, now: Instant, where: str) -> str:
    """Have these in place of those that there are; what they are called now, empty if there were none.

    In the transaction of `replace_ledger`.
    """
    aside = _set_aside(db, SECRETS, now=now)
    _use(db, SECRETS)
    bring_up_to_date(db, replace(SECRETS, is_kept=False), where=where)
    put_records(db, records)
    return aside


def was_put_back(server: DatabaseServer) -> bool:
    """Whether the database was put back and no daemon has dealt with that yet.

    Changes nothing. Raises StorageError.
    """
    with server.errors(), closing(server.connect(LEDGER.schema)) as connection:
        db = PostgresSession(connection)
        db.execute("BEGIN READ ONLY")
        return not _is_in_place(db)


def adopt_put_back(server: DatabaseServer, *, followed_for: int, seen: SeenState | None = None) -> int | None:
    """Have a database that was put back be one that was restored; how many rows are to be looked at once for that.

    None where it is in place. `followed_for` is for how many seconds after its end a row may be of interest, `seen` how
    far it had come at least. To be called before a session begins. Raises StorageError.
    """

    def work(db: PostgresSession) -> int | None:
        _hold(db)
        if _is_in_place(db, seen):
            return None  # another daemon was quicker
        _end_sessions(db)
        bring_up_to_date(db, LEDGER, where=server.name)
        now = Instant(db.execute("SELECT CAST(floor(extract(epoch FROM clock_timestamp())) AS BIGINT)").fetchone()[0])
        rows = Outbox(db).mark_restored(now, since=Instant(now - followed_for))
        _reset_log(db, now, where=server.name)
        if has_schema(db, MIRROR.schema):  # what apps were told since is not what will be told under the same numbers
            for table in ("calendar", "made"):
                db.execute(f"UPDATE {MIRROR.schema}.{table} SET epoch={_EPOCH}")
        _use(db, LEDGER)
        db.execute("DELETE FROM place")
        db.execute(f"INSERT INTO place (here) {HERE}")
        return rows

    with closing(TransactionConnection(server, FLEET)) as connection:
        return None if connection.read(partial(_is_in_place, seen=seen)) else connection.write(work)


def _is_in_place(db: PostgresSession, seen: SeenState | None = None) -> bool:
    """Whether the ledger is where it was made, and nothing that was seen there is gone. In a transaction."""
    if not has_schema(db, LEDGER.schema):
        return True
    _use(db, LEDGER)
    row = db.execute(f"SELECT here, here=({HERE}) FROM place").fetchone()
    if row is None or not row[1]:
        return False
    return seen is None or seen.here != row[0] or seen.newest <= _newest_entry(db)


def _newest_entry(db: PostgresSession) -> int:
    if not has_schema(db, CHANGE_LOG.schema):
        return 0
    newest: int = db.execute(f"SELECT newest FROM {CHANGE_LOG.schema}.counter").fetchone()[0]
    return newest


def _hold(db: PostgresSession) -> None:
    """Keep everybody from writing a store, and from beginning or renewing a session, until the transaction ends."""
    for stored in (MIRROR, CHANGE_LOG, LEDGER, SECRETS):  # in the order of those who take more than one
        db.execute("SELECT pg_advisory_xact_lock(?)", (stored.lock,))
    db.execute("LOCK TABLE fleet.session IN EXCLUSIVE MODE")


def _require_stopped(server: DatabaseServer, names: Sequence[str]) -> None:
    if names:
        message = f"busyd runs on {server.name} ({', '.join(names)}), so nothing was restored"
        raise TryAgain(message, fix=f"stop it there first; one that was killed counts for {LEASE} seconds")


def _end_sessions(db: PostgresSession) -> None:
    db.execute("SET LOCAL statement_timeout=0")
    db.execute("DELETE FROM fleet.session")


def _set_aside(db: PostgresSession, stored: StoredTables, *, now: Instant) -> str:
    """Give the tables that there are another name, under a date; empty where there are none."""
    if not has_schema(db, stored.schema):
        return ""
    while True:
        stamp = to_rfc3339(now).replace("-", "").replace(":", "").lower()
        aside = aside_as(stored.schema, _ASIDE, stamp=stamp)
        if not has_schema(db, aside):
            break
        now = Instant(now + 1)
    db.execute(f"ALTER SCHEMA {stored.schema} RENAME TO {aside}")
    return aside


def _reset_log(db: PostgresSession, now: Instant, *, where: str) -> None:
    _use(db, LEDGER)
    profiles = profiles_in(db)
    _use(db, CHANGE_LOG)
    try:
        bring_up_to_date(db, CHANGE_LOG, where=where)
    except StorageDamaged:
        db.execute(f"DROP SCHEMA {CHANGE_LOG.schema} CASCADE")
        bring_up_to_date(db, CHANGE_LOG, where=where)
    reset_all(db, profiles, now=now)


def _use(db: PostgresSession, stored: StoredTables) -> None:
    """Have the tables of a schema be those that statements mean, until the transaction ends."""
    db.execute(f"SET LOCAL search_path TO {stored.schema},pg_temp")
