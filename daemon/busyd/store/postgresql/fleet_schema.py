"""What several daemons on one database share, as numbered migrations: who runs, and who polls which connection.

A process has a session, which it renews; a connection has a lease, which names the session that owns it until that one
releases it or ends. The database's clock alone decides, and never by `now()`, which is when a transaction began.

What keeps a daemon from writing when others have gone on without it, wherever it was stopped, and whatever is late:

* Every writing transaction of a daemon locks the row of its session FOR KEY SHARE, and finds it unexpired, before it
  does anything (`connection.py`). Renewing the session changes no key, so neither waits for the other.
* A session ends only by DELETE of its row, which such a transaction keeps from happening until it is over. Only that
  frees leases (ON DELETE SET NULL), and only what is free is claimed: an expired session still has its leases.
* What holds such a lock and will not go on by itself, as a process that was stopped inside COPY, is ended with all
  that bears the name of its session. The row is deleted once nothing holds it.
* A lease is released by its session, which waits in the same way for every transaction of the session that runs: one
  whose COMMIT was not answered may still be carried out.
* A session ends as well when the database goes on from an earlier state, on another timeline, as a standby does that
  was promoted. What it knows may be lost there.
* The number of a session is a random one. A sequence could give one again after a failover that lost its last commits.

There is no epoch, so one thing is left to the daemon: nothing that it began in one tenure may write in another. It
releases a connection once no work about it is under way, or waits for the thread of a store; and when its session has
ended, all work ends and every store is closed before it begins another.
"""

from typing import Final

from busyd.store.postgresql.connection import TIMELINE, StoredTables
from busyd.store.postgresql.schema import TEXT
from busyd.store.postgresql.session import PostgresSession

_FREE_SINCE: Final = """
CREATE FUNCTION note_free() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.free_since := clock_timestamp();
  RETURN NEW;
END $$
"""

_DECLARE: Final = """
CREATE OR REPLACE FUNCTION declare_connections(own BIGINT, names TEXT[]) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock({lock});
  PERFORM FROM session WHERE id = own AND until > clock_timestamp() FOR KEY SHARE;
  IF NOT FOUND THEN
    RETURN FALSE;
  END IF;
  DELETE FROM declared WHERE session = own AND connection <> ALL (names);
  INSERT INTO lease (connection) SELECT unnest(names) ON CONFLICT DO NOTHING;
  INSERT INTO declared (session, connection) SELECT own, unnest(names) ON CONFLICT DO NOTHING;
  DELETE FROM lease WHERE session IS NULL
    AND NOT EXISTS (SELECT FROM declared WHERE declared.connection = lease.connection);
  RETURN TRUE;
END $$
"""
"""In the database, so that a process that is stopped meanwhile keeps nobody waiting. One at a time, so that no lease
is dropped that another session has just found to be there. That lock comes first, as it does for whoever restores."""

_LOCK: Final = 0x62757379_04


def _first(db: PostgresSession) -> None:
    for statement in (
        f"CREATE TABLE session (id BIGINT PRIMARY KEY, name {TEXT}, address {TEXT},"
        " begun TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(), until TIMESTAMPTZ NOT NULL,"
        f" timeline TEXT NOT NULL DEFAULT {TIMELINE})"
        # Few rows that are always changed.
        " WITH (fillfactor=20, autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=200)",
        f"CREATE TABLE lease (connection {TEXT} PRIMARY KEY, session BIGINT REFERENCES session ON DELETE SET NULL,"
        f" last_name {TEXT} DEFAULT '', free_since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),"
        # The health of the connection, as its owner said last and when.
        f" health {TEXT} DEFAULT '', reported TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()) WITH (fillfactor=50)",
        "CREATE INDEX lease_session ON lease (session)",
        _FREE_SINCE,
        "CREATE TRIGGER lease_free BEFORE UPDATE OF session ON lease"
        " FOR EACH ROW WHEN (NEW.session IS NULL) EXECUTE FUNCTION note_free()",
        # Which connections are in the configuration of each daemon; a lease is there while it is in any.
        "CREATE TABLE declared (session BIGINT NOT NULL REFERENCES session ON DELETE CASCADE,"
        f" connection {TEXT}, PRIMARY KEY (session, connection))",
        "CREATE INDEX declared_connection ON declared (connection)",
    ):
        db.execute(statement)


def _second(db: PostgresSession) -> None:
    for statement in (
        _DECLARE.format(lock=_LOCK),
        # Of the first version. What is in them is asked for again.
        "DROP TABLE IF EXISTS request, errand",
        f"CREATE TABLE request (id BIGINT PRIMARY KEY, connection {TEXT},"
        " newer_than BIGINT NOT NULL, asked TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),"
        " deadline TIMESTAMPTZ NOT NULL, by_session BIGINT NOT NULL REFERENCES session ON DELETE CASCADE,"
        " done BOOLEAN NOT NULL DEFAULT FALSE)"
        " WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000)",
        "CREATE INDEX request_open ON request (connection) WHERE NOT done",
        "CREATE INDEX request_by ON request (by_session)",
        f"CREATE TABLE errand (id BIGINT PRIMARY KEY, connection {TEXT},"
        " by_session BIGINT NOT NULL REFERENCES session ON DELETE CASCADE, deadline TIMESTAMPTZ NOT NULL,"
        " work BYTEA NOT NULL, taken_by BIGINT, outcome BYTEA)"
        " WITH (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000)",
        "CREATE INDEX errand_open ON errand (connection) WHERE outcome IS NULL",
        "CREATE INDEX errand_by ON errand (by_session)",
    ):
        db.execute(statement)


def _third(db: PostgresSession) -> None:
    # It waits for every transaction that writes, and all renewals wait for it: rather tried again than for long.
    db.execute("SET LOCAL lock_timeout='2s'")
    db.execute(f"ALTER TABLE session ADD COLUMN config_digest {TEXT} DEFAULT ''")


FLEET: Final = StoredTables("fleet", (_first, _second, _third), lock=_LOCK)
