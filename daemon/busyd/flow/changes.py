"""Changes as handlers see them: what is in the log for those who may know of it, and when something is added."""

from collections.abc import Collection, Sequence

from msgspec import Struct

from busyd.flow.history import History
from busyd.period import Instant
from busyd.state.state import State
from busyd.store.change_log import ChangeLog
from busyd.store.changes import (
    AppointmentChanged,
    ChangeEntry,
    ChangeEvent,
    ConnectionChanged,
    NumberGone,
    ProfileReset,
    SpanChanged,
)
from busyd.store.store import Store

__all__ = [
    "AppointmentChanged",
    "ChangeView",
    "Changes",
    "ConnectionChanged",
    "NumberGone",
    "ProfileReset",
    "SpanChanged",
    "Viewer",
]


class Viewer(Struct, frozen=True):
    """Whose changes are asked for, and what of them."""

    profiles: frozenset[str]
    busy_time: bool
    """Whether it may know what became busy and free."""
    connections: bool
    """Whether it may know how the connections of these profiles fare."""
    all_connections: bool = False
    """Whether it may know that of connections that no profile uses, too."""

    appointments: bool = False
    """Whether it may know of all appointments of these profiles."""
    token: str = ""
    """The id of its token if that may book: it may know of what was asked for with it."""

    def sees(self, entry: ChangeEntry) -> bool:
        change = entry.change
        if change.event is ChangeEvent.APPOINTMENT:
            is_its = self.appointments or bool(self.token and change.token == self.token)
            return is_its and not change.profiles.isdisjoint(self.profiles)
        if change.event is ChangeEvent.CONNECTION:
            return self.connections and (self.all_connections or not change.profiles.isdisjoint(self.profiles))
        return self.busy_time and not change.profiles.isdisjoint(self.profiles)


class ChangeView(Struct, frozen=True):
    """A change that somebody may know of."""

    number: int
    event: str
    body: bytes
    """One line of JSON."""
    at: Instant


class Changes:
    """The log of changes, read."""

    def __init__(self, log: ChangeLog, state: State, *, store: Store) -> None:
        self.history = History(log, state, store=store)
        self._log = log
        self._state = state

    @property
    def newest(self) -> int:
        """The number of the last change there was; 0 before the first."""
        return self._log.newest

    def visible_profiles(self, names: Collection[str] | None = None) -> frozenset[str]:
        """Those of these profiles that are configured; without names, all."""
        profiles = self._state.profiles
        return frozenset(profiles if names is None else profiles.keys() & names)

    async def after(self, number: int, viewer: Viewer) -> tuple[Sequence[ChangeView], int]:
        """What comes after an entry, some at a time, and the number up to which that is all.

        Raises NumberGone when that cannot be told any more, StorageError.
        """
        entries = await self._log.entries_after(number)
        views = [_view(entry) for entry in entries if viewer.sees(entry)]
        return views, entries[-1].number if entries else number

    async def entries_after(self, number: int) -> Sequence[ChangeEntry]:
        """The same for everybody, unread. Raises NumberGone, StorageError."""
        return await self._log.entries_after(number)

    async def number_before(self, moment: Instant) -> int:
        """The number after which everything was written at this moment or later. Raises StorageError."""
        return await self._log.number_before(moment)

    async def last(self, count: int, viewer: Viewer) -> list[ChangeView]:
        """The last changes, at most so many, in order. Raises StorageError."""
        return [_view(entry) for entry in await self._log.last_entries(viewer.sees, count)]

    async def added(self) -> None:
        """Return when something is added to the log after this call."""
        await self._log.appended()

    async def added_since(self, number: int) -> None:
        """Return once the newest entry is another one than this."""
        while self._log.newest == number:
            await self._log.appended()


def _view(entry: ChangeEntry) -> ChangeView:
    return ChangeView(entry.number, entry.change.event.value, entry.change.body, entry.at)
