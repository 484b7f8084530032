"""What `busyd doctor --write` has measured of the server of a connection, in the ledger's file.

Every method runs inside one transaction of `Ledger.server_traits`.
"""

import hashlib
from typing import Final

import msgspec
from msgspec import Struct

from busyd.connection import Connection
from busyd.period import Instant
from busyd.store.engine import SqlSession
from busyd.store.statements.base import upsert

WAITED: Final = 60.0
"""Seconds after which a read that does not show a write is waited for no longer."""


class ReadLag(Struct, frozen=True):
    """Seconds after a write until a kind of read has shown it: 0 when the first one did, None when none did."""

    get: float | None
    """GET of the object."""
    listing: float | None
    """PROPFIND of the calendar."""
    sync: float | None = 0.0
    """The sync-collection report; 0 where the server has none."""

    @property
    def seconds(self) -> float:
        """How long it takes until every kind of read shows a write, `WAITED` at most."""
        return max(WAITED if lag is None else lag for lag in (self.get, self.listing, self.sync))


class ServerTraits(Struct, frozen=True):
    """How a server treats writes."""

    measured: Instant
    lag: ReadLag
    """The longest of those after a creation, a change and a deletion."""
    keeps_marks: bool
    """X- properties come back as they were written."""
    keeps_stamps: bool
    """So does DTSTAMP."""
    buries_names: bool
    """The name of a deleted event is refused for a while."""
    needs_end: bool
    """An event without DTEND is refused."""
    late: float | None = None
    """Seconds after which a write arrived whose answer was not waited for; None when none arrived late."""


class MeasuredTraits:
    """What may be done in one transaction."""

    def __init__(self, connection: SqlSession) -> None:
        self._connection = connection

    def find(self, connection: Connection) -> ServerTraits | None:
        """What was measured last with this account; None when nothing was."""
        query = "SELECT account, record FROM server_trait WHERE connection=?"
        row = self._connection.execute(query, (connection.name,)).fetchone()
        if row is None or row[0] != _account_of(connection):
            return None
        return msgspec.json.decode(row[1], type=ServerTraits)

    def keep(self, connection: Connection, traits: ServerTraits) -> None:
        """Keep what was measured, instead of what was before."""
        self._connection.execute(
            upsert("server_trait", ("connection", "account", "record")),
            (connection.name, _account_of(connection), msgspec.json.encode(traits).decode()),
        )


def _account_of(connection: Connection) -> str:
    """Tells one account from another under the same name."""
    identity = "\n".join((connection.kind, connection.url, connection.username))
    return hashlib.blake2b(identity.encode(errors="surrogatepass"), digest_size=12).hexdigest()
