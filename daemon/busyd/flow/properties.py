"""Properties that apps give the collections of the CalDAV server: kept here, shown here, and sent to no server."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from busyd.store.kept_properties import TooManyProperties
from busyd.store.ledger_thread import LedgerThread

__all__ = ["GivenProperties", "TooManyProperties"]

Kept = Mapping[str, Mapping[str, bytes]]
"""Resource -> name in Clark notation -> the property as XML."""
_MOST_REMEMBERED: Final = 64


class GivenProperties:
    """What apps have given, by owner: a profile, or one token of it. Only the daemon changes it."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._known: dict[str, Kept] = {}
        self.revision = 0
        """Another number after every change."""

    async def of(self, owner: str) -> Kept:
        """Everything that an owner has given. Raises StorageError."""
        known = self._known.get(owner)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            found = await self._ledger.kept_properties(lambda kept: kept.of(owner))
            known = self._known[owner] = MappingProxyType(found)
        return known

    async def change(self, owner: str, resource: str, *, given: Mapping[str, bytes | None]) -> None:
        """Keep properties of a resource, or forget those without a value: all or none.

        Raises TooManyProperties, StorageError.
        """
        try:
            await self._ledger.kept_properties(lambda kept: kept.change(owner, resource, given=given))
        finally:
            self._known.pop(owner, None)
            self.revision += 1
