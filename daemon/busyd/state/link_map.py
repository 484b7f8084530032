"""Links the other way round: calendar -> the profiles that count it and the zones they read it in; connection -> the
profiles that name it. Changed when links change, so that nobody ever looks through all links of all profiles.
"""

from collections.abc import Iterable, Set
from typing import Final

from busyd.availability.profile import Profile
from busyd.state.links import Link

_NOBODY: Final[frozenset[str]] = frozenset()


class LinkMap:
    """What the links of all profiles say, by calendar and by connection."""

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:
        self._zones: dict[int, dict[str, frozenset[str]]] = {}
        """Calendar -> profile -> the zones in which that reads it."""
        self._profiles: dict[str, set[str]] = {}
        """Connection -> the profiles that name it, or are linked to a calendar of it."""
        self._known: dict[str, tuple[set[int], set[str]]] = {}
        """Profile -> the calendars and connections under which it is found."""
        self._sets: dict[frozenset[str], frozenset[str]] = {}
        """Each set of zones once: there are few, and many calendars."""
        self._union: dict[int, frozenset[str]] = {}
        """Calendar -> the zones of all profiles, as they were asked for since a profile's last change."""
        for profile in profiles:
            self.set(profile, ())

    def set(self, profile: Profile, links: Iterable[Link]) -> None:
        """Take the links of a profile, those in force and those to come, in place of what was known of it."""
        zones: dict[int, set[str]] = {}
        connections = connections_of(profile)
        for link in links:
            connections.add(link.reference.connection)
            if link.calendar is not None:
                zones.setdefault(link.calendar, set()).add(link.zone)
        self.forget(profile.name)
        for calendar, read_in in zones.items():
            these = frozenset(read_in)
            self._zones.setdefault(calendar, {})[profile.name] = self._sets.setdefault(these, these)
            self._union.pop(calendar, None)
        for connection in connections:
            self._profiles.setdefault(connection, set()).add(profile.name)
        self._known[profile.name] = set(zones), connections

    def forget(self, profile: str) -> None:
        """Forget a profile."""
        calendars, connections = self._known.pop(profile, (set(), set()))
        for calendar in calendars:
            self._union.pop(calendar, None)
            del self._zones[calendar][profile]
            if not self._zones[calendar]:
                del self._zones[calendar]
        for connection in connections:
            self._profiles[connection].discard(profile)
            if not self._profiles[connection]:
                del self._profiles[connection]

    def zones_of(self, calendar: int) -> frozenset[str]:
        """The zones in which profiles read a calendar; empty when nobody does."""
        known = self._union.get(calendar)
        if known is None:
            these: frozenset[str] = frozenset().union(*self._zones.get(calendar, {}).values())
            known = self._union[calendar] = self._sets.setdefault(these, these)
        return known

    def profiles_of(self, calendar: int) -> Set[str]:
        """The profiles that are linked to a calendar."""
        return self._zones.get(calendar, {}).keys()

    def profiles_naming(self, connection: str) -> Set[str]:
        """The profiles that name a connection in the configuration, or are linked to a calendar of it."""
        return self._profiles.get(connection, _NOBODY)

    @property
    def calendars(self) -> Set[int]:
        """The calendars to which any profile is linked."""
        return self._zones.keys()

    @property
    def connections(self) -> Set[str]:
        """The connections that any profile names or is linked to."""
        return self._profiles.keys()


def connections_of(profile: Profile) -> set[str]:
    """The connections that a profile names in the configuration."""
    written = [reference for reference in (profile.primary, profile.blocks) if reference is not None]
    return {reference.connection for reference in (*profile.conflicts, *written, *profile.calendar_rules)}
