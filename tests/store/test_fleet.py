"""Several daemons on one database: who owns what, who takes over, and that nobody writes who should not."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from busyd.store.errors import SessionEnded, StorageError
from busyd.store.postgresql.change_log_schema import CHANGE_LOG
from busyd.store.postgresql.connection import StoredTables, TransactionConnection
from busyd.store.postgresql.fleet import Fleet
from busyd.store.postgresql.ledger_schema import LEDGER
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession
from tests.store import stopped_daemon
from tests.store.fleets import Begin, let_expire, opened_by


def write(connection: TransactionConnection, name: str) -> None:
    connection.write(lambda db: db.execute("INSERT INTO meta (name, value) VALUES (?, 'x')", (name,)))


def written(database: DatabaseServer) -> list[str]:
    with contextlib.closing(database.connect("mirror")) as other:
        return [name for (name,) in other.execute("SELECT name FROM meta WHERE value='x' ORDER BY name", binary=True)]


def take_over(fleet: Fleet, name: str) -> None:
    """In as many rounds as it takes until what the other has left is ended."""
    for _ in range(5000):
        if name in fleet.take_over():
            return
        fleet.wait(0.01)
    pytest.fail(f"the session of {name} is not ended")


@pytest.mark.parametrize("tables", [MIRROR, LEDGER, CHANGE_LOG], ids=lambda tables: tables.schema)
def test_a_session_that_has_expired_or_ended_writes_nothing_in_any_schema(begin: Begin, tables: StoredTables) -> None:
    fleet = begin("a")
    ran = []
    with opened_by(fleet, tables) as connection:
        connection.write(lambda _: ran.append("before"))
        let_expire(fleet)
        for _ in range(2):
            with pytest.raises(SessionEnded, match=r"the session of this daemon in .* has ended"):
                connection.write(lambda _: ran.append("after"))
            fleet.end()
        connection.read(lambda db: db.execute("SELECT 1"))
    assert ran == ["before"]


def test_a_session_is_renewed_while_its_transactions_run(begin: Begin) -> None:
    fleet = begin("a")
    with opened_by(fleet) as connection:
        connection.write(lambda _: fleet.renew())
        connection.write(lambda _: fleet.renew())


def test_a_session_once_expired_is_never_renewed_whether_anybody_has_ended_it_or_not(begin: Begin) -> None:
    fleet, other = begin("a"), begin("b")
    assert fleet.renew().round_trip > 0
    let_expire(fleet)
    with pytest.raises(SessionEnded):
        fleet.renew()
    assert other.take_over() == ["a"]
    with pytest.raises(SessionEnded):
        fleet.renew()


def test_a_transaction_that_its_process_has_left_open_is_ended_before_its_session_is(
    begin: Begin, database: DatabaseServer
) -> None:
    fleet, other = begin("a"), begin("b")

    def while_it_is_taken_over(db: PostgresSession) -> None:
        db.execute("INSERT INTO meta (name, value) VALUES ('a', 'x')")
        let_expire(fleet)
        take_over(other, "a")
        db.execute("SELECT 1")

    with opened_by(fleet) as connection:
        with pytest.raises(StorageError):
            connection.write(while_it_is_taken_over)
        with pytest.raises(SessionEnded):
            write(connection, "b")
    assert written(database) == []


def test_a_session_is_not_ended_while_its_transaction_cannot_be(begin: Begin, database: DatabaseServer) -> None:
    fleet, other = begin("a"), begin("b")

    def while_nobody_can_end_it(db: PostgresSession) -> None:
        db.execute("SET LOCAL application_name='another'")
        let_expire(fleet)
        assert other.take_over() == []
        db.execute("INSERT INTO meta (name, value) VALUES ('a', 'x')")

    with opened_by(fleet) as connection:
        connection.write(while_nobody_can_end_it)
    assert other.take_over() == ["a"]
    assert written(database) == ["a"]


@pytest.mark.parametrize("where", ["transaction", "copy"])
def test_a_process_that_was_stopped_while_it_wrote_keeps_nobody_waiting_and_writes_nothing_once_woken(
    begin: Begin, database: DatabaseServer, where: str
) -> None:
    fleet, other = begin("a"), begin("b")
    command = [sys.executable, str(Path(stopped_daemon.__file__)), fleet.server.conninfo]
    with subprocess.Popen(
        [*command, str(fleet.server.session), where], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "inside\n"
        process.send_signal(signal.SIGSTOP)
        let_expire(fleet)
        take_over(other, "a")
        with opened_by(other) as connection:
            write(connection, "by the other")
        process.send_signal(signal.SIGCONT)
        assert process.communicate("\n")[0] == "StorageError\nSessionEnded\n"
    assert written(database) == ["by the other"]


def test_commands_have_no_session_and_write_while_daemons_do(begin: Begin, database: DatabaseServer) -> None:
    with opened_by(begin("a")), contextlib.closing(TransactionConnection(database, MIRROR)) as command:
        write(command, "a")
    assert written(database) == ["a"]
