"""A PostgreSQL server of the tests' own: in a folder of its own, heard on a socket there and nowhere else."""

import contextlib
import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

import psycopg

from busyd.store.postgresql.server import DatabaseServer
from tests.other_user import NOBODY, give_to_nobody

OWNER: Final = "busyd"
"""Owns each database, and is no superuser."""
_SOCKET: Final = ".s.PGSQL.5432"
PROGRAMS: Final = Path("/usr/lib/postgresql")
_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "off",  # what is tested is a lost process, not a lost disk
    "shared_buffers": "16MB",
    "max_wal_size": "16MB",
    "min_wal_size": "2MB",
    "max_connections": "60",
    "log_min_messages": "fatal",
}


class PostgresServer:
    """The server, while `running` runs."""

    def __init__(self, programs: Path, folder: Path, *, log_folder: Path | None = None) -> None:
        """`log_folder` is where the write-ahead log is kept; None for beside the data."""
        self._programs = programs
        self._log_folder = log_folder
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)

    def make(self) -> None:
        command = [
            *(str(self._programs / "initdb"), "-D", str(self.folder / "data"), "-U", "postgres", "-A", "trust"),
            *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions", "--wal-segsize=1"),
            # Sorts as people do, where busyd does not say how: that it always says is part of what is tested.
            *("--locale-provider=icu", "--icu-locale=en"),
            *(("--waldir", str(self._log_folder)) if self._log_folder is not None else ()),
        ]
        made = subprocess.run(command, capture_output=True, check=False, **_unprivileged(self.folder))  # type: ignore[call-overload]
        assert made.returncode == 0, made.stderr.decode()
        self.start()
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN".encode())

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        settings = [word for name, value in _SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self.folder / "data"), "-k", str(self.folder), *settings]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_unprivileged(self.folder))  # type: ignore[call-overload]
        while True:
            try:
                self.connect("postgres").close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.02)

    @property
    def runs(self) -> bool:
        """Whether it has not ended by itself; it may be recovering from a crash."""
        return self._process is not None and self._process.poll() is None

    def stop(self, *, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT ends all connections, SIGQUIT ends it as a crash does."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait()
            self._process = None

    def connect(self, database: str, *, user: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user=user, dbname=database, autocommit=True)

    def new_database(self) -> DatabaseServer:
        """An empty one, of which `OWNER` is the owner. It takes 8 MB of the disk."""
        name = f"test{next(self._numbers)}"
        with self.connect("postgres") as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {OWNER}".encode())
        return DatabaseServer(f"postgresql:///{name}?host={self.folder}&user={OWNER}")


def find_programs() -> Path | None:
    """Where the newest PostgreSQL is; None where none is installed."""
    found = [path.parent for path in sorted(PROGRAMS.glob("*/bin/initdb"))]
    return found[-1] if found else None


@contextlib.contextmanager
def running(*, log_folder: Path | None = None) -> Iterator[PostgresServer]:
    """A server, stopped and gone at the end. Skips where PostgreSQL is not installed."""
    programs = find_programs()
    if programs is None:
        from tests.skips import skip  # with pytest, which scripts/demo does not have

        skip("PostgreSQL is not installed (apt-get install postgresql)")
    folder = Path(mkdtemp(prefix="busyd-pg-"))
    if os.geteuid() == 0:
        give_to_nobody(folder)
    server = PostgresServer(programs, folder, log_folder=log_folder)
    try:
        server.make()
        yield server
    finally:
        server.stop(how=signal.SIGQUIT)
        shutil.rmtree(folder)


_LOOK_EVERY: Final = 0.1
"""Seconds."""


class LossyProxy:
    """In front of the server, to lose what it answers to a statement, or every connection."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = str(server.folder / _SOCKET)
        self._folder = TemporaryDirectory(prefix="busyd-pg-")
        self._listener = socket.socket(socket.AF_UNIX)
        self._threads: list[threading.Thread] = []
        self.lose_answer_to = b""
        """The next statement with this in it is carried out, and not answered; then it is empty."""
        self.refuses = threading.Event()
        """Set: no new connection is let through."""
        self.is_cut = threading.Event()
        """Set: nor are those that there are."""

    def in_front_of(self, database: DatabaseServer) -> DatabaseServer:
        return DatabaseServer(database.conninfo.replace(str(Path(self._server).parent), self._folder.name))

    def __enter__(self) -> "LossyProxy":
        self._listener.bind(str(Path(self._folder.name, _SOCKET)))
        self._listener.listen()
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.is_cut.set()  # whoever is still connected
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        self._folder.cleanup()

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads.append(threading.Thread(target=work, args=arguments))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            if self.refuses.is_set() or self.is_cut.is_set():
                client.close()
                continue
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(self._server)
            except OSError:  # it is being started anew
                client.close()
                server.close()
                continue
            self._begin(self._serve, client, server)

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, contextlib.suppress(ConnectionError):
            while True:
                readable = select.select([client, server], [], [], _LOOK_EVERY)[0]
                if self.is_cut.is_set():
                    return
                for one in readable:
                    data = one.recv(65536)
                    if not data:
                        return
                    (server if one is client else client).sendall(data)
                    if one is client and self.lose_answer_to and self.lose_answer_to in data:
                        while b"Z" not in (answer := server.recv(65536))[-6:-5]:
                            assert answer
                        self.lose_answer_to = b""
                        return


def _unprivileged(folder: Path) -> dict[str, object]:
    """PostgreSQL refuses to run as root. In a group of its own, Ctrl-C leaves it alone."""
    own = {"cwd": folder, "process_group": 0}
    if os.geteuid() != 0:
        return own
    return {**own, "user": NOBODY.pw_uid, "group": NOBODY.pw_gid, "extra_groups": []}
