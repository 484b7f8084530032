"""What a person should know about the links of a profile, told in the log once per change. Pure but for the log."""

import logging
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from busyd.availability.profile import Profile
from busyd.connection import CalendarReference
from busyd.state.links import Link, describe_unknown, is_called
from busyd.store.mirror import CalendarRecord

logger = logging.getLogger(__name__)

Listed = Mapping[str, Sequence[CalendarRecord]]
"""Connection -> its calendars; one that was never listed has no entry, and nothing is said about its calendars."""


class LinkNote(Struct, frozen=True):
    """A sentence, and what it is about: told again only when that has gone and come back."""

    subject: str
    text: str
    is_fault: bool = True
    """Something that is written there does nothing."""


class LinkNotes:
    """The notes about all profiles."""

    def __init__(self) -> None:
        self._notes: dict[str, tuple[LinkNote, ...]] = {}

    def take(
        self, profile: Profile, links: Iterable[Link], *, listed: Listed, bound: Iterable[CalendarReference]
    ) -> None:
        """Note what is to be said about the links of a profile, and log what was not said before.

        `bound` are the keys of `calendars:` that mean a calendar which is there.
        """
        links = tuple(links)
        notes = [
            *(LinkNote(f"missing {link.reference}", link.trouble) for link in links if _leads_nowhere(link, listed)),
            *_unbound_rules(profile, listed=listed, bound=frozenset(bound)),
            *(LinkNote(link.note, link.note, is_fault=False) for link in links if link.note),
        ]
        known = {note.subject for note in self._notes.get(profile.name, ())}
        self._notes[profile.name] = tuple(notes)
        for note in notes:
            if note.subject not in known:
                logger.warning("profile %s: %s", profile.name, note.text)

    def about(self, profile: str) -> tuple[str, ...]:
        """What is to be said about the links of a profile at the moment."""
        return tuple(note.text for note in self._notes.get(profile, ()))

    def faults(self, profile: str) -> tuple[str, ...]:
        """Those about what is named and not there."""
        return tuple(note.text for note in self._notes.get(profile, ()) if note.is_fault)

    def forget(self, profile: str) -> None:
        """Forget a profile that is gone."""
        self._notes.pop(profile, None)


def _leads_nowhere(link: Link, listed: Listed) -> bool:
    """Named and not there. A wildcard with unknown calendars is told with its connection."""
    return link.calendar is None and not link.reference.is_wildcard and link.reference.connection in listed


def _unbound_rules(profile: Profile, *, listed: Listed, bound: frozenset[CalendarReference]) -> Iterable[LinkNote]:
    """Rules that count for no calendar, as a misspelt key of `calendars:` has them."""
    for reference in profile.calendar_rules:
        if not reference.calendar or reference.is_wildcard or reference in bound:
            continue
        records = listed.get(reference.connection)
        if records is not None and not any(is_called(record, reference) for record in records):
            unknown = describe_unknown(reference, [record.remote for record in records if not record.gone])
            yield LinkNote(f"rules {reference}", f"its rules under `calendars` for {reference} do nothing: {unknown}")
