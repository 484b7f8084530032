"""What the references of a configuration mean, given the calendars that are really there: the same rules as the daemon.

Faults come with the place in the file where the reference is written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from busyd.config import Config, Fault, Place
from busyd.config.errors import did_you_mean
from busyd.config.tree import MappingNode, Node, ScalarNode, SequenceNode, Unreadable, read_tree
from busyd.connection import AmbiguousCalendar, CalendarKind, CalendarReference, RemoteCalendar, find_calendar
from busyd.service.state_dir import machine_zone
from busyd.state.links import CalendarRole, Link, resolve_links
from busyd.store.ledger import LEDGER_FILE, ledger_of
from busyd.store.mirror import CalendarRecord

Calendars = Mapping[str, Sequence[RemoteCalendar]]
"""By connection; one without an entry could not be listed."""

_NOWHERE: Final = Place("the configuration")


class ProfileLink(Struct, frozen=True):
    """A calendar that a profile reads or writes, with what the server says of it."""

    profile: str
    link: Link
    calendar: RemoteCalendar | None


def links_of(config: Config, calendars: Calendars, remembered: Mapping[str, str]) -> list[ProfileLink]:
    """All links of all profiles to connections that were listed, in the order of the configuration."""
    numbered = [(name, one) for name, listed in calendars.items() for one in listed]
    records: dict[str, list[CalendarRecord]] = {name: [] for name in calendars}
    for number, (name, one) in enumerate(numbered):
        records[name].append(CalendarRecord(number, name, one))
    found = []
    for profile in config.profiles.values():
        for link in resolve_links(profile, records, remembered=remembered, machine_zone=machine_zone(os.environ)):
            if link.reference.connection in calendars:
                calendar = numbered[link.calendar][1] if link.calendar is not None else None
                found.append(ProfileLink(profile.name, link, calendar))
    return found


def reference_faults(config: Config, calendars: Calendars, remembered: Mapping[str, str]) -> list[Fault]:
    """References that lead nowhere or to two calendars, and primaries that cannot be written to."""
    places = reference_places(config)
    faults = []
    for one in links_of(config, calendars, remembered):
        key = "primary" if one.link.role is CalendarRole.PRIMARY else "conflicts"
        place = places.get((one.profile, key, str(one.link.reference)), _NOWHERE)
        if one.calendar is None:
            message = one.link.trouble + _suggest(one.link.reference, calendars)
            faults.append(Fault(place, f"{key}: {message}"))
        elif key == "primary" and not is_writable(one.calendar):
            message = f"primary: {one.link.label} cannot be written to: choose a calendar of your own"
            faults.append(Fault(place, message))
    for profile in config.profiles.values():
        for reference in profile.calendar_rules:
            place = places.get((profile.name, "calendars", str(reference)), _NOWHERE)
            faults += [Fault(place, f"calendars: {told}") for told in _rule_trouble(reference, calendars)]
    return sorted(set(faults))


def is_writable(calendar: RemoteCalendar) -> bool:
    """Whether appointments can be written there."""
    return calendar.writable and calendar.kind in (CalendarKind.OWN, CalendarKind.SHARED)


def remembered_links(state: Path) -> dict[str, str]:
    """The hrefs that references meant before; empty where the daemon has not run yet."""
    if not os.path.lexists(state / LEDGER_FILE):  # or this user may not look
        return {}
    with ledger_of(state) as ledger:
        return ledger.resolved_links()


def reference_places(config: Config) -> dict[tuple[str, str, str], Place]:
    """(profile, key, reference as written) -> where it stands. Files that changed meanwhile are left out."""
    found: dict[tuple[str, str, str], Place] = {}
    for file in config.files:
        try:
            tree = read_tree(file, [])
        except Unreadable:
            continue
        profiles = tree.entries.get("profiles")
        for profile, written in _entries(profiles.value if profiles else None):
            for key, value in _entries(written):
                for place, text in _texts(value):
                    found[profile, key, text] = place
                    # A feed may be written as FEED/FEED or FEED/*.
                    found.setdefault((profile, key, text.partition("/")[0]), place)
    return found


def _entries(node: Node | None) -> Iterator[tuple[str, Node]]:
    if isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield key, entry.value


def _texts(node: Node) -> Iterator[tuple[Place, str]]:
    match node:
        case ScalarNode(place=place, text=text):
            yield place, text
        case SequenceNode(items=items):
            for item in items:
                yield from _texts(item)
        case MappingNode(entries=entries):
            for key, entry in entries.items():
                yield entry.place, key


def _rule_trouble(reference: CalendarReference, calendars: Calendars) -> Iterator[str]:
    listed = calendars.get(reference.connection)
    if listed is None or reference.is_wildcard:
        return
    try:
        if find_calendar(reference, listed) is None:
            yield f"{reference.connection} has no calendar {reference.calendar!r}{_suggest(reference, calendars)}"
    except AmbiguousCalendar as error:
        yield f"{error}; {error.fix}"


def _suggest(reference: CalendarReference, calendars: Calendars) -> str:
    names = [one.name for one in calendars.get(reference.connection, ()) if one.name]
    near = did_you_mean(reference.calendar, names) if reference.calendar else ""
    return near.replace("'", f"'{reference.connection}/", 1)
