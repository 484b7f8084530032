"""Files that older versions of busyd wrote are brought to the newest schema with everything in them.

`schemas/` has a dump for each schema there was, made by the last code that had it as its newest. A new one is added
when a migration is.
"""

import contextlib
import re
import sqlite3
from pathlib import Path

import msgspec
import pytest

from busyd.availability.index import index_object
from busyd.period import Instant, Period
from busyd.store.change_log import open_changes
from busyd.store.ledger import Ledger
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.sqlite.connection import check, migrate, open_connection
from busyd.store.sqlite.ledger_schema import NEWEST_SCHEMA
from busyd.store.sqlite.schema import MIRROR_MIGRATIONS
from busyd.store.store import Store
from busyd.store.transaction import Transaction

SCHEMAS = Path(__file__).parent / "schemas"
MIRRORS = sorted(SCHEMAS.glob("mirror-*.sql"))
LEDGERS = sorted(SCHEMAS.glob("ledger-*.sql"))
JUNE = Period(Instant(1_780_272_000), Instant(1_780_358_400))


def _write(dump: Path, path: Path) -> None:
    """The file as the older version left it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text())


def _shape(path: Path) -> tuple[int, set[tuple[str, ...]]]:
    """The version of the schema, and each table and index with its columns, and each trigger."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        check(connection, path)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        shape = set()
        found = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        for kind, name, sql in found:
            query = f"SELECT name FROM pragma_{kind}_info('{name}')"
            shape.add((name, *(sorted(row[0] for row in connection.execute(query)) if kind != "trigger" else [sql])))
        return version, shape


def test_there_is_a_dump_of_every_schema_that_came_after_the_first_dump() -> None:
    for dumps, newest in ((MIRRORS, len(MIRROR_MIGRATIONS)), (LEDGERS, NEWEST_SCHEMA)):
        versions = [int(re.sub(r"\D", "", dump.stem)) for dump in dumps]
        assert versions == list(range(versions[0], newest))


@pytest.mark.parametrize("dump", MIRRORS, ids=lambda dump: dump.stem)
async def test_a_mirror_keeps_accounts_calendars_and_events(dump: Path, tmp_path: Path) -> None:
    path, fresh = tmp_path / "mirror.sqlite3", tmp_path / "fresh.sqlite3"
    _write(dump, path)
    for file in (path, fresh):
        Store.open(file).close()
    assert _shape(path) == _shape(fresh)
    with contextlib.closing(Store.open(path)) as store:
        account = await store.read_account("anna")
        assert account is not None
        assert (account.homes, account.addresses) == (("/1/calendars/",), ("anna@icloud.com",))
        (calendar,) = await store.read_calendars("anna")
        assert (calendar.remote.name, calendar.held, calendar.doubts, calendar.complete) == ("Work", {}, {}, False)
        (stored,) = await store.read_objects(calendar.id)
        assert (stored.href, stored.etag, stored.uid) == ("/1/calendars/work/one.ics", '"1"', "one")
        assert len(index_object(stored.payload, JUNE, zone="UTC").rows) == 1
        (member,) = await store.read_members(calendar.id)
        assert (member.name, bool(member.tag)) == ("one.ics", True)


@pytest.mark.parametrize("change", ["missing_since=7", "earlier_token='t'", "digest=x''"])
def test_a_row_of_an_older_mirror_that_is_not_as_it_was_written_stays_damage(change: str, tmp_path: Path) -> None:
    path = tmp_path / "mirror.sqlite3"
    _write(SCHEMAS / "mirror-14.sql", path)
    with contextlib.closing(open_connection(path, journal="WAL", synchronous="NORMAL")) as connection:
        connection.execute(f"UPDATE calendar SET {change}")
        migrate(connection, path, migrations=MIRROR_MIGRATIONS)
        with pytest.raises(msgspec.ValidationError, match="not as it was written"):
            Transaction(connection).read_calendars()


@pytest.mark.parametrize("dump", LEDGERS, ids=lambda dump: dump.stem)
def test_a_ledger_keeps_tokens_links_and_what_was_accepted(dump: Path, tmp_path: Path) -> None:
    path, fresh = tmp_path / "ledger.sqlite3", tmp_path / "fresh.sqlite3"
    _write(dump, path)
    for file in (path, fresh):
        Ledger.open(file).close()
    assert _shape(path) == _shape(fresh)
    with contextlib.closing(Ledger.open(path)) as ledger:
        assert [(token.id, token.profile, token.name) for token in ledger.tokens()] == [("abcd", "anna", "phone")]
        assert ledger.resolved_links()[""] == {"anna/Work": "/1/calendars/work/"}
        assert bool(ledger.acceptances()) == ("ledger-02" not in dump.stem)


def test_the_tables_of_postgresql_have_the_columns_of_those_of_sqlite(migrated: DatabaseServer, tmp_path: Path) -> None:
    changes = tmp_path / "changes.sqlite3"
    Store.open(tmp_path / "mirror.sqlite3").close()
    Ledger.open(tmp_path / "ledger.sqlite3").close()
    open_changes(changes).close()
    with contextlib.closing(migrated.connect("mirror")) as server:
        for schema in ("mirror", "ledger", "changes"):
            columns = server.execute(
                "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema=%s"
                " AND table_name NOT IN ('schema_version', 'blocked', 'deletion', 'place')"
                " AND column_name NOT IN ('rowid', 'moved')",
                (schema,),
                binary=False,
            )
            with contextlib.closing(sqlite3.connect(tmp_path / f"{schema}.sqlite3")) as file:
                expected = file.execute(
                    "SELECT m.name, c.name FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c"
                    " WHERE m.type='table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'"
                ).fetchall()
            assert set(columns) == set(expected)
