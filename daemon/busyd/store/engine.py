"""What an engine brings to store in: a session that runs statements, and something that runs work in transactions.

SQLite (`sqlite/`) and PostgreSQL (`postgresql/`) do. The statements are the same for both (`statements/`); what differs
is the tables, how work is kept whole, and what can go wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Rows(Protocol):
    """What came of a statement."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""

    def fetchone(self) -> Any:
        """The next row, a tuple; None when there is no other."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class SqlSession(Protocol):
    """A connection, as the statements use it. `sqlite3.Connection` is one."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Rows: ...

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Rows: ...


class Database(Protocol):
    """What runs work on a thread of its own, one at a time, so that the event loop never waits for it.

    Everything but `close` raises StorageError.
    """

    on_damage: Callable[[], object]
    """Called, on any thread, when what is stored turns out to be damaged while it is used."""

    async def read(self, work: Callable[[SqlSession], T]) -> T:
        """Run `work`, which changes nothing."""

    async def write(self, work: Callable[[SqlSession], T]) -> T:
        """Run `work` as one transaction: all of it is kept, or nothing."""

    def write_now(self, work: Callable[[SqlSession], T]) -> T:
        """The same on the calling thread. Only before the loop serves, so that a start answers at once."""

    def read_now(self, work: Callable[[SqlSession], T]) -> T:
        """`read` on the calling thread, likewise."""

    async def scrub(self) -> None:
        """Leave nothing of deleted rows in what is stored."""

    def close(self) -> None:
        """Finish what is queued, then close."""


class LedgerDatabase(Protocol):
    """Where a ledger is kept, which other processes open too. Its methods block, and raise StorageError.

    Every change is safe from a loss of power when its method returns.
    """

    may_lag: bool
    """Whether a change by another process may be heard of only a moment later."""

    def is_current(self) -> bool:
        """Whether tokens are still as `read_tokens` has found them, whichever process changes them. Asks no disk."""

    def read_tokens(self, work: Callable[[SqlSession], T]) -> T:
        """Run `work`, which reads and keeps the tokens."""

    def read(self, work: Callable[[SqlSession], T]) -> T:
        """Run `work`, which changes nothing."""

    def write(self, work: Callable[[SqlSession], T]) -> T:
        """Run `work` as one transaction: all of it is kept, or nothing."""

    def write_beside_tokens(self, work: Callable[[SqlSession], T]) -> T:
        """The same for `work` that changes no right of any token, so that they need not be read again."""

    def close(self) -> None: ...
