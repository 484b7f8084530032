"""Where the server is, how it is connected to, and what its errors mean."""

import contextlib
import re
from collections.abc import Iterator
from typing import Final

import psycopg
from msgspec import Struct
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from busyd.store.errors import OutOfSpace, Overlaps, SessionEnded, StorageError, StorageUnusable
from busyd.store.postgresql.session import adapt

OLDEST_SERVER: Final = 15
APPLICATION: Final = "busyd"
_SETTINGS: Final = {
    "lock_timeout": "10s",  # as long as another process is waited for with SQLite
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "20s",  # one that is stopped there keeps others from writing
    "client_connection_check_interval": "5s",
    "jit": "off",
    # Whatever the database has as its own: what waits for a lock has to see what its holder has written.
    "default_transaction_isolation": r"read\ committed",
    "timezone": "UTC",
}
_PATIENT: Final = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}
_PREFIX: Final = re.compile("^connection (is bad|failed): ")
"""What psycopg puts before that a connection has failed."""
_TIMEOUTS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""Of libpq: after 15 seconds a server that says nothing is taken for lost."""
_UNSAID: Final = {
    "host": "",
    "hostaddr": "",
    "port": "",
    "sslmode": "prefer",
    "sslrootcert": "",
    "target_session_attrs": "any",
    "gssencmode": "disable",  # where Kerberos has a ticket, it would take the place of TLS, whatever sslmode says
}
"""What libpq is told where the address says nothing: else a variable of the environment such as PGHOSTADDR, or a
service file, would decide where it connects and whom it trusts."""


class DatabaseServer(Struct, frozen=True):
    """A database on a server."""

    conninfo: str
    """As libpq takes it, a URL or key=value; without the password."""
    password: str = ""
    session: int | None = None
    """That of the daemon which uses it, see `fleet_schema.py`: once it has ended, nothing more can be written."""
    is_patient: bool = False
    """For what a person waits for: no statement takes too long, nor what is done elsewhere during a transaction."""

    def __repr__(self) -> str:
        return f"DatabaseServer({self.name})"

    @property
    def name(self) -> str:
        """As a person is told of it."""
        host, port = (conninfo_to_dict(self.conninfo).get(key) for key in ("host", "port"))
        at = f" at {host}{f':{port}' if port else ''}" if host else ""
        return f"the database {self.database}{at}"

    @property
    def database(self) -> str:
        """Its name alone."""
        given = conninfo_to_dict(self.conninfo)
        return str(given.get("dbname") or given.get("user") or "")

    @property
    def application(self) -> str:
        """What its connections are called. Whoever takes over a session ends all that bear its name."""
        return APPLICATION if self.session is None else f"{APPLICATION}:{self.session}"

    def connect(self, namespace: str, *, statement_timeout: str = "") -> Connection[TupleRow]:
        """A connection whose tables are those of a schema; every transaction has to be begun. Raises psycopg.Error."""
        settings = {**_SETTINGS, "search_path": f"{namespace},pg_temp"}
        if statement_timeout:
            settings["statement_timeout"] = statement_timeout
        if self.is_patient:
            settings |= _PATIENT
        given = {**_UNSAID, "dbname": self.database, **conninfo_to_dict(self.conninfo)}
        connection = psycopg.connect(
            make_conninfo("", **given),
            password=self.password or None,
            autocommit=True,
            application_name=self.application,
            options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
            prepare_threshold=2,
            **_TIMEOUTS,  # type: ignore[arg-type]
        )
        connection.prepared_max = 400  # all there are
        adapt(connection)
        return connection

    def session_ended(self) -> SessionEnded:
        """To be raised when the session is no more."""
        return SessionEnded(f"the session of this daemon in {self.name} has ended, and another may have taken over")

    def require_supported(self, connection: Connection[TupleRow]) -> None:
        """Raises StorageUnusable for a server that is too old, or keeps text in another encoding."""
        version, encoding = (
            connection.info.server_version // 10_000,
            connection.info.parameter_status("server_encoding"),
        )
        if version < OLDEST_SERVER:
            message = f"{self.name} is on PostgreSQL {version}, and busyd needs {OLDEST_SERVER} or newer"
            raise StorageUnusable(message)
        if encoding != "UTF8":
            message = f"{self.name} keeps text as {encoding}"
            fix = "make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
            raise StorageUnusable(message, fix=fix)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn what psycopg raises into StorageError, with what to do; Overlaps for what a rule refuses."""
        try:
            yield
        except psycopg.errors.ExclusionViolation:
            raise Overlaps from None
        except psycopg.Error as error:
            raise self._storage_error(error) from error

    def _storage_error(self, error: psycopg.Error) -> StorageError:
        # Of a connection that fails, the first line says why; those below ask whether the server runs.
        told = error.diag.message_primary or _PREFIX.sub("", str(error).partition("\n")[0])
        reason = " ".join(told.split()) or "the connection was lost"
        message = f"{self.name} cannot be used: {reason}"
        kind, fix = _FAULTS.get(error.sqlstate or "", (StorageError, ""))
        if error.sqlstate is None and isinstance(error, psycopg.OperationalError):
            fix = "see whether the server runs and takes connections of this user from here"
        return kind(message, fix=fix)


_FAULTS: Final[dict[str, tuple[type[StorageError], str]]] = {
    "53100": (OutOfSpace, "free some space on the disk of the server"),
    "53300": (StorageError, "raise max_connections of the server, or end other programs that use it"),
    "25006": (StorageError, "the server only reads: name the one that writes"),
    "42501": (StorageUnusable, "give the user of busyd the right to make schemas and tables in this database"),
    "55P03": (StorageError, "another process is using it"),
    "57014": (StorageError, "the server is too slow, or another process holds what it needs"),
}
"""SQLSTATE -> what it is, and what may help."""
