"""Which snapshots may not be of what is known now, so that nobody looks at all others."""

from collections.abc import Iterable, Mapping

from busyd.state.connection_state import ConnectionState
from busyd.state.link_map import LinkMap


class DueSnapshots:
    """The profiles whose snapshots are due. A profile is due until its snapshot is made; too often harms nobody."""

    def __init__(self, profiles: Iterable[str]) -> None:
        self._due: dict[str, None] = dict.fromkeys(profiles)
        self._addresses: dict[str, tuple[str, ...]] = {}
        """Connection -> who "me" is in it, as it was looked at last."""

    def add(self, profiles: Iterable[str]) -> None:
        """What these are made from has changed, or they could not be made."""
        self._due |= dict.fromkeys(profiles)

    def discard(self, profile: str) -> None:
        """It is about to be made from what is known now, or nobody wants it any more."""
        self._due.pop(profile, None)

    def find(self, connections: Mapping[str, ConnectionState], links: LinkMap) -> Mapping[str, None]:
        """All that are due; also those in whose calendars somebody else is "me" by now. The same dict each time."""
        for name, state in connections.items():
            addresses = (*state.addresses, state.connection.username)
            if self._addresses.get(name) != addresses:
                self._addresses[name] = addresses
                self.add(links.profiles_naming(name))
        return self._due
