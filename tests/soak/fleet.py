"""Several real daemons on one PostgreSQL, and who of them writes what."""

import contextlib
import re
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from busyd.store.postgresql.fleet import SHARED_DUTIES
from busyd.store.postgresql.server import DatabaseServer
from tests.journey.daemon import Busyd, busyd_in
from tests.postgres import PostgresServer

DAEMONS: Final = ("one", "two", "three")
_OWNERS: Final = (
    "SELECT connection, substring(name from '([^/]*)/state$') FROM fleet.lease JOIN fleet.session ON id=session"
)
WATCH_WRITES: Final = """
CREATE SCHEMA watch;
CREATE SEQUENCE watch.writes;
CREATE TABLE watch.wrong (connection TEXT, daemon TEXT, owner TEXT);
CREATE FUNCTION watch.look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  daemon TEXT := current_setting('application_name');
  owner TEXT := (SELECT 'busyd:' || session FROM fleet.lease WHERE connection = NEW.connection);
BEGIN
  PERFORM nextval('watch.writes');
  IF owner IS DISTINCT FROM daemon THEN
    INSERT INTO watch.wrong VALUES (NEW.connection, daemon, owner);
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON mirror.calendar FOR EACH ROW EXECUTE FUNCTION watch.look();
"""
"""Every write to a calendar, by another daemon than the one that owns its connection at that moment."""


class SharingDaemons:
    """Three daemons with one configuration, but for what tells them apart."""

    def __init__(self, folder: Path, postgres: PostgresServer, *, environment: Mapping[str, str]) -> None:
        self.database: DatabaseServer = postgres.new_database()
        self.daemons: dict[str, Busyd] = {}
        self._folder = folder
        self._environment = environment
        self._resources = ExitStack()

    def __enter__(self) -> "SharingDaemons":
        for name in DAEMONS:
            (self._folder / name).mkdir()
            self.daemons[name] = self._resources.enter_context(
                busyd_in(self._folder / name, environment=self._environment)
            )
        self._connection = self._resources.enter_context(contextlib.closing(self.database.connect("fleet")))
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def configure(self, text: str) -> None:
        """`{daemon}` is the name of each."""
        for name, daemon in self.daemons.items():
            daemon.configure(text.replace("{daemon}", name) + f"store: {self.database.conninfo}\n")

    def start(self) -> None:
        """All of them, the first one before the others, as it makes the tables; returns once each answers, however
        long it reads its configuration.
        """
        first, *others = self.daemons.values()
        for daemons in ([first], others):
            for daemon in daemons:
                daemon.start(wait=False)
            for daemon in daemons:
                while daemon.status_of("/healthz") != 200:
                    self.require_running()
                    time.sleep(0.1)

    def require_running(self) -> None:
        """Raises AssertionError, with its log, for a daemon that has ended by itself."""
        for daemon in self.daemons.values():
            assert daemon.process is None or daemon.process.poll() is None, daemon.log.read_text()[-3000:]

    def memory(self) -> dict[str, float]:
        """Megabytes that each has at the moment, of those that run."""
        running = {name: one.process for name, one in self.daemons.items() if one.process is not None}
        return {
            name: int(re.findall(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[0]) / 1024
            for name, process in running.items()
        }

    def kill(self, name: str) -> None:
        """As a machine does that loses its power."""
        self.daemons[name].stop(how=signal.SIGKILL)

    def ask(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the database; a statement that returns nothing gives no rows."""
        cursor = self._connection.execute(statement.encode(), values)
        return cursor.fetchall() if cursor.description else []

    def owners(self) -> dict[str, str]:
        """Connection -> the daemon that owns it."""
        return {connection: name for connection, name in self.ask(_OWNERS) if connection != SHARED_DUTIES}

    def shares(self) -> Counter[str]:
        """How many connections each owns."""
        return Counter(self.owners().values())

    def watch_writes(self) -> None:
        """Note from now on who writes to calendars. To be called once the tables are there."""
        self.ask(WATCH_WRITES)

    def writes(self) -> tuple[int, list[tuple[str, str, str]]]:
        """How many writes to calendars there were, and those by another daemon than the owner, with both."""
        ((count,),) = self.ask("SELECT last_value FROM watch.writes")
        return count, [(str(a), str(b), str(c)) for a, b, c in self.ask("SELECT * FROM watch.wrong")]
