"""Properties that apps have given the collections of the CalDAV server, in the ledger's file: no server has them.

Every method runs inside one transaction of `Ledger.kept_properties`.
"""

from collections.abc import Mapping
from typing import Final

from busyd.errors import BusydError
from busyd.store.engine import SqlSession
from busyd.store.statements.base import upsert

MOST_OF_OWNER: Final = 500
"""Properties of one owner, on all resources together."""
LONGEST: Final = 64 * 1024
"""Bytes of one as XML."""


class TooManyProperties(BusydError):
    """There is no place for a property, or not for one so long."""


class KeptProperties:
    """What may be done in one transaction. A property is its XML under its name in Clark notation."""

    def __init__(self, connection: SqlSession) -> None:
        self._connection = connection

    def of(self, owner: str) -> dict[str, dict[str, bytes]]:
        """Resource -> name -> property, of everything that an owner has given."""
        found: dict[str, dict[str, bytes]] = {}
        query = "SELECT resource, name, xml FROM property WHERE owner=? ORDER BY resource, name"
        for resource, name, xml in self._connection.execute(query, (owner,)):
            found.setdefault(resource, {})[name] = xml
        return found

    def change(self, owner: str, resource: str, *, given: Mapping[str, bytes | None]) -> None:
        """Keep properties of a resource, or forget those without a value: all or none. Raises TooManyProperties."""
        for name, xml in given.items():
            if xml is None:
                query = "DELETE FROM property WHERE owner=? AND resource=? AND name=?"
                self._connection.execute(query, (owner, resource, name))
                continue
            if len(xml) > LONGEST:
                message = f"a property has more than {LONGEST} bytes"
                raise TooManyProperties(message)
            query = upsert("property", ("owner", "resource", "name", "xml"), keys=3)
            self._connection.execute(query, (owner, resource, name, xml))
        (count,) = self._connection.execute("SELECT COUNT(*) FROM property WHERE owner=?", (owner,)).fetchone()
        if count > MOST_OF_OWNER:
            message = f"{MOST_OF_OWNER} properties are kept already"
            raise TooManyProperties(message)
