"""A daemon's process that is to be stopped while it writes: `python stopped_daemon.py CONNINFO SESSION WHERE`.

It says `inside` once it is inside a transaction, and goes on when a line comes. Then it tries to go on writing, and
says what was raised.
"""

import sys

from busyd.store.errors import StorageError
from busyd.store.postgresql.connection import TransactionConnection
from busyd.store.postgresql.schema import MIRROR
from busyd.store.postgresql.server import DatabaseServer
from busyd.store.postgresql.session import PostgresSession

_INSERT = "INSERT INTO meta (name, value) VALUES (?, 'x')"


def main(conninfo: str, session: str, where: str) -> None:
    connection = TransactionConnection(DatabaseServer(conninfo, session=int(session)), MIRROR)

    def write(db: PostgresSession) -> None:
        db.execute(_INSERT, ("before",))
        if where == "copy":
            with db._connection.cursor().copy("COPY meta (name, value) FROM STDIN") as copy:
                copy.write_row(("copied", "x"))
                wait()
                copy.write_row(("copied later", "x"))
        else:
            wait()
        db.execute(_INSERT, ("after",))

    for work in (write, lambda db: db.execute(_INSERT, ("once more",))):
        try:
            connection.write(work)
        except StorageError as error:
            print(type(error).__name__, flush=True)


def wait() -> None:
    print("inside", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
