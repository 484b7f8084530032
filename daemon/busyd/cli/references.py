"""What the references of a configuration mean, given the calendars that exist: by the same rules as in the daemon.

Faults carry the line and column at which the reference is written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from busyd.cli.installation import Installation
from busyd.cli.stores import ledger_of, stores_of
from busyd.config import Config, ConfigFault, SourceLocation
from busyd.config.tree import MappingNode, Node, ScalarNode, SequenceNode, Unreadable, read_tree
from busyd.connection import AmbiguousCalendar, CalendarKind, CalendarReference, RemoteCalendar, find_calendar
from busyd.credentials import CredentialMissing
from busyd.service.state_dir import machine_zone
from busyd.state.links import CalendarRole, Link, describe_unknown, resolve_links
from busyd.store.errors import StorageError
from busyd.store.mirror import CalendarRecord

Calendars = Mapping[str, Sequence[RemoteCalendar]]
"""By connection; one without an entry could not be listed."""

Remembered = Mapping[str, Mapping[str, str]]
"""Profile -> reference -> href that it meant before; what an older busyd kept is under an empty name."""

_NOWHERE: Final = SourceLocation("the configuration")
_KEYS: Final = {CalendarRole.PRIMARY: "primary", CalendarRole.CONFLICT: "conflicts", CalendarRole.BLOCKS: "blocks"}


class ProfileLink(Struct, frozen=True):
    """A calendar that a profile reads or writes, as the server lists it."""

    profile: str
    link: Link
    calendar: RemoteCalendar | None


def links_of(config: Config, calendars: Calendars, *, remembered: Remembered) -> list[ProfileLink]:
    """All links of all profiles to connections that were listed, in the order of the configuration."""
    numbered = [(name, calendar) for name, listed in calendars.items() for calendar in listed]
    records: dict[str, list[CalendarRecord]] = {name: [] for name in calendars}
    for number, (name, listed_calendar) in enumerate(numbered):
        records[name].append(CalendarRecord(number, name, listed_calendar))
    links = []
    for profile in config.profiles.values():
        before = remembered.get(profile.name, remembered.get("", {}))
        for link in resolve_links(profile, records, remembered=before, machine_zone=machine_zone(os.environ)):
            if link.reference.connection in calendars:
                calendar = numbered[link.calendar][1] if link.calendar is not None else None
                links.append(ProfileLink(profile.name, link, calendar))
    return links


def reference_faults(config: Config, calendars: Calendars, *, remembered: Remembered) -> list[ConfigFault]:
    """References that match no calendar or several, and primaries that cannot be written to."""
    locations = reference_locations(config)
    faults = []
    for profile_link in links_of(config, calendars, remembered=remembered):
        key = _KEYS[profile_link.link.role]
        location = locations.get((profile_link.profile, key, str(profile_link.link.reference)), _NOWHERE)
        if profile_link.calendar is None:
            faults.append(ConfigFault(location, f"{key}: {profile_link.link.trouble}"))
        elif key != "conflicts" and not is_writable(profile_link.calendar):
            message = f"{key}: {profile_link.link.label} is read-only; choose a calendar of your own"
            faults.append(ConfigFault(location, message))
    for profile in config.profiles.values():
        for reference in profile.calendar_rules:
            location = locations.get((profile.name, "calendars", str(reference)), _NOWHERE)
            faults += [ConfigFault(location, f"calendars: {text}") for text in _rule_trouble(reference, calendars)]
    return sorted(set(faults))


def is_writable(calendar: RemoteCalendar) -> bool:
    """Whether appointments can be written there."""
    return calendar.writable and calendar.kind in (CalendarKind.OWN, CalendarKind.SHARED)


def remembered_links(installation: Installation) -> Remembered:
    """The hrefs that references meant before, by profile; empty where no daemon has run yet or a database is away."""
    try:
        if not stores_of(installation).has_ledger:
            return {}
        with ledger_of(installation) as ledger:
            return ledger.resolved_links()
    except (StorageError, CredentialMissing):
        if installation.config.store is None:
            raise
        return {}


def reference_locations(config: Config) -> dict[tuple[str, str, str], SourceLocation]:
    """(profile, key, reference as written) -> where it is written. Files that have become invalid are left out."""
    locations: dict[tuple[str, str, str], SourceLocation] = {}
    for file in config.files:
        try:
            tree = read_tree(file, [])
        except Unreadable:
            continue
        profiles = tree.entries.get("profiles")
        for profile, written in _entries(profiles.value if profiles else None):
            for key, value in _entries(written):
                for location, text in _texts(value):
                    locations[profile, key, text] = location
                    # A feed may be written as FEED/FEED or FEED/*.
                    locations.setdefault((profile, key, text.partition("/")[0]), location)
    return locations


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield key, entry.value


def _texts(node: Node) -> Iterator[tuple[SourceLocation, str]]:
    match node:
        case ScalarNode(location=location, text=text):
            yield location, text
        case SequenceNode(items=items):
            for item in items:
                yield from _texts(item)
        case MappingNode(entries=entries):
            for key, entry in entries.items():
                yield entry.location, key


def _rule_trouble(reference: CalendarReference, calendars: Calendars) -> Iterator[str]:
    listed = calendars.get(reference.connection)
    if listed is None or reference.is_wildcard:
        return
    try:
        if find_calendar(reference, listed) is None:
            yield describe_unknown(reference, listed)
    except AmbiguousCalendar as error:
        yield f"{error}; {error.fix}"
