"""A server that goes away, comes back, refuses, or does not answer: what is kept is kept, and what is told is true."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from busyd.period import Instant
from busyd.store.errors import StorageDamaged, StorageError, StorageUnusable
from busyd.store.ledger import Ledger
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.database import PostgresDatabase
from busyd.store.postgresql.ledger_database import LedgerTables
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from busyd.store.store import Store
from tests.postgres import LossyProxy, PostgresServer


@pytest.fixture
def connection(database: DatabaseServer) -> Iterator[TransactionConnection]:
    with contextlib.closing(TransactionConnection(database, MIRROR)) as opened:
        yield opened


def write(connection: TransactionConnection, name: str) -> None:
    connection.write(lambda db: db.execute("INSERT INTO meta (name, value) VALUES (?,?)", (name, "x")))


def names(connection: TransactionConnection) -> list[str]:
    query = "SELECT name FROM meta WHERE value='x' ORDER BY name"
    return [row[0] for row in connection.read(lambda db: db.execute(query).fetchall())]


def end_sessions(postgres: PostgresServer) -> None:
    """As an administrator, or a server that is restarted, does."""
    with postgres.connect("postgres") as other:
        other.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name='busyd'")


def test_a_connection_lost_between_two_transactions_is_made_anew(
    connection: TransactionConnection, postgres: PostgresServer
) -> None:
    write(connection, "a")
    end_sessions(postgres)
    write(connection, "b")
    end_sessions(postgres)
    assert names(connection) == ["a", "b"]


def test_a_transaction_that_loses_its_connection_is_told_to_have_failed_and_leaves_nothing(
    connection: TransactionConnection, postgres: PostgresServer
) -> None:
    def half(db: PostgresSession) -> None:
        db.execute("INSERT INTO meta (name, value) VALUES ('a', 'x')")
        end_sessions(postgres)
        db.execute("INSERT INTO meta (name, value) VALUES ('b', 'x')")

    with pytest.raises(StorageError, match="cannot be used"):
        connection.write(half)
    assert names(connection) == []


def test_a_commit_that_was_carried_out_and_not_answered_is_found_to_be_kept(
    database: DatabaseServer, postgres: PostgresServer
) -> None:
    with (
        LossyProxy(postgres) as proxy,
        contextlib.closing(TransactionConnection(proxy.in_front_of(database), MIRROR)) as connection,
    ):
        proxy.lose_answer_to = b"COMMIT"
        write(connection, "a")
        assert not proxy.lose_answer_to
        assert names(connection) == ["a"]


def test_a_server_that_is_away_when_it_should_tell_what_became_of_a_commit_is_asked_later(
    database: DatabaseServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("busyd.store.postgresql.connection._SETTLE_TRIES", 2)
    late: list[bool] = []
    with (
        LossyProxy(postgres) as proxy,
        contextlib.closing(TransactionConnection(proxy.in_front_of(database), MIRROR)) as connection,
    ):
        connection.on_late_commit = lambda: late.append(True)
        proxy.lose_answer_to = b"COMMIT"
        proxy.refuses.set()
        for _ in range(2):
            with pytest.raises(StorageError):
                write(connection, "a")
        assert not late
        proxy.refuses.clear()
        assert names(connection) == ["a"]
        assert late == [True]


def test_nothing_is_taken_for_kept_by_the_number_of_a_transaction_from_before_a_crash(
    database: DatabaseServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("busyd.store.postgresql.connection._SETTLE_TRIES", 2)
    late: list[bool] = []
    with (
        LossyProxy(postgres) as proxy,
        contextlib.closing(TransactionConnection(proxy.in_front_of(database), MIRROR)) as connection,
    ):
        connection.on_late_commit = lambda: late.append(True)

        def cut_off(db: PostgresSession) -> None:
            db.execute("INSERT INTO meta (name, value) VALUES ('a', 'x')")
            proxy.is_cut.set()

        with pytest.raises(StorageError):
            connection.write(cut_off)
        postgres.stop(how=signal.SIGQUIT)
        postgres.start()
        with contextlib.closing(TransactionConnection(database, MIRROR)) as other:
            for name in ("b", "c", "d"):  # to one of them the number may be given once more
                write(other, name)
        proxy.is_cut.clear()
        assert names(connection) == ["b", "c", "d"]
        assert late == [True]


def test_the_sentence_for_a_server_that_is_not_there_names_it() -> None:
    with pytest.raises(StorageError, match=r"the database anna at /nowhere cannot be used: .*") as raised:
        TransactionConnection(DatabaseServer("postgresql:///anna?host=/nowhere"), MIRROR)
    assert raised.value.fix == "see whether the server runs and takes connections of this user from here"


@pytest.mark.parametrize("where", ["environment", "service file"])
def test_only_the_address_says_where_the_database_is(
    database: DatabaseServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    elsewhere = {"hostaddr": "127.0.0.1", "port": "1", "dbname": "nowhere", "target_session_attrs": "standby"}
    if where == "environment":
        elsewhere["database"] = elsewhere.pop("dbname")
        for name, value in elsewhere.items():
            monkeypatch.setenv(f"PG{name.replace('_', '').upper()}", value)
    else:
        (tmp_path / "services").write_text(
            "\n".join(["[far]", *(f"{name}={elsewhere[name]}" for name in elsewhere), ""])
        )
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        monkeypatch.setenv("PGSERVICE", "far")
    TransactionConnection(database, MIRROR).close()


def test_without_a_host_the_socket_is_meant_whatever_the_environment_names(
    database: DatabaseServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGHOST", str(postgres.folder))
    with pytest.raises(StorageError):
        TransactionConnection(DatabaseServer(f"postgresql:///{database.database}?user=busyd"), MIRROR)


def test_tables_of_a_newer_busyd_are_refused(connection: TransactionConnection, database: DatabaseServer) -> None:
    connection.write(lambda db: db.execute("UPDATE schema_version SET version=99"))
    with pytest.raises(StorageUnusable, match="newer busyd"):
        TransactionConnection(database, MIRROR)


def test_a_user_who_may_not_make_tables_is_told_which_right_is_lacking(
    database: DatabaseServer, postgres: PostgresServer
) -> None:
    with postgres.connect("postgres") as other:
        other.execute("DROP ROLE IF EXISTS guest")
        other.execute("CREATE ROLE guest LOGIN")
    guest = DatabaseServer(database.conninfo.replace("user=busyd", "user=guest"))
    with pytest.raises(StorageUnusable, match="permission denied") as raised:
        TransactionConnection(guest, MIRROR)
    assert "right to make schemas and tables" in raised.value.fix


def test_a_database_with_another_encoding_is_refused(postgres: PostgresServer) -> None:
    with postgres.connect("postgres") as other:
        other.execute("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
        other.execute("ALTER DATABASE latin OWNER TO busyd")
    with pytest.raises(StorageUnusable, match="keeps text as LATIN1"):
        TransactionConnection(DatabaseServer(f"postgresql:///latin?host={postgres.folder}&user=busyd"), MIRROR)


def test_of_two_processes_one_writes_after_the_other(
    connection: TransactionConnection, database: DatabaseServer
) -> None:
    begun = threading.Event()
    order: list[str] = []

    def slow(db: PostgresSession) -> None:
        other.start()
        begun.wait()
        while not db.execute("SELECT 1 FROM pg_locks WHERE locktype='advisory' AND NOT granted").fetchone():
            pass
        order.append("first")

    def quick() -> None:
        with contextlib.closing(second):
            begun.set()
            second.write(lambda _: order.append("second"))

    second = TransactionConnection(database, MIRROR)
    other = threading.Thread(target=quick)
    connection.write(slow)
    other.join()
    assert order == ["first", "second"]


def test_who_waits_to_write_sees_what_was_written_meanwhile_whatever_the_database_has_as_its_own(
    postgres: PostgresServer,
) -> None:
    database = postgres.new_database()
    with postgres.connect("postgres") as other:
        other.execute(f"ALTER DATABASE {database.database} SET default_transaction_isolation='serializable'".encode())
    with contextlib.closing(TransactionConnection(database, MIRROR)) as connection:
        isolation = connection.write(lambda db: db.execute("SHOW transaction_isolation").fetchone())
    assert isolation == ("read committed",)


async def test_a_row_that_is_not_as_it_was_written_is_damage_until_all_is_made_anew(
    database: DatabaseServer,
) -> None:
    damaged = []
    store = Store(PostgresDatabase(TransactionConnection(database, MIRROR)))
    store.call_on_damage(lambda: damaged.append(True))
    await store.transaction(lambda tx: tx.record_snapshot("anna", "k", body=b""))
    with contextlib.closing(TransactionConnection(database, MIRROR)) as other:
        other.write(lambda db: db.execute("INSERT INTO calendar (connection, href, listing) VALUES ('a', '/', '{}')"))
    with pytest.raises(StorageDamaged):
        await store.read_calendars()
    assert damaged
    store.close()
    with pytest.raises(StorageDamaged, match="were found damaged"):
        PostgresDatabase(TransactionConnection(database, MIRROR))
    PostgresDatabase(TransactionConnection(database, MIRROR, anew=True)).close()
    store = Store(PostgresDatabase(TransactionConnection(database, MIRROR)))
    assert await store.read_calendars() == []
    await store.scrub()
    store.close()


def test_tokens_are_honoured_while_the_server_is_away_but_not_for_long(
    database: DatabaseServer, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = Instant(1_790_000_000)
    with LossyProxy(postgres) as proxy, contextlib.closing(LedgerTables(proxy.in_front_of(database))) as tables:
        ledger = Ledger(tables)
        made = ledger.add_token("anna", scopes=["freebusy"], details=False, expires=None, name="", now=now)
        assert ledger.find_token(made.text, now) is not None
        proxy.refuses.set()
        end_sessions(postgres)
        assert ledger.find_token(made.text, now) is not None
        monkeypatch.setattr("busyd.store.postgresql.ledger_database.UNHEARD", 0.0)
        with pytest.raises(StorageError):
            ledger.find_token(made.text, now)
