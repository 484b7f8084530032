"""From what the user wrote to the calendars that are there: which calendars count for a profile, and how. Pure."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from busyd.availability.policy import Rules
from busyd.availability.profile import Profile
from busyd.connection import (
    AmbiguousCalendar,
    CalendarReference,
    RemoteCalendar,
    calendars_by_default,
    find_calendar,
)
from busyd.ical.zones import find_zone
from busyd.spelling import did_you_mean
from busyd.store.bookings import calendar_key
from busyd.store.mirror import CalendarRecord


class CalendarRole(StrEnum):
    PRIMARY = "primary"
    CONFLICT = "conflict"
    BLOCKS = "blocks"
    """Blocks are written to it."""


class Link(Struct, frozen=True, gc=False):
    """A calendar that counts for a profile, or a reference that leads nowhere (and so leaves time unknown)."""

    reference: CalendarReference
    role: CalendarRole
    label: str
    """CONNECTION/NAME as a person knows it now."""
    calendar: int | None
    """Id in the mirror; None when there is no such calendar."""
    href: str = ""
    zone: str = ""
    """IANA name in which its floating and all-day times are read."""
    rules: Rules = field(default_factory=Rules)
    max_age: timedelta | None = None
    """For how long a confirmation of this calendar counts; None: as the profile says."""
    blocks: bool = True
    """False for a primary that is only written to."""
    trouble: str = ""
    """Why the reference leads nowhere, and what to do."""
    note: str = ""
    """What to know about its rules, when the configuration calls it by a name that it no longer bears."""


def calendar_keys(links: Iterable[Link]) -> set[str]:
    """The calendars that block for these links, as the outbox names them."""
    return {calendar_key(link.reference.connection, link.href) for link in links if link.blocks and link.href}


def remembered_by_profile(
    resolved: Mapping[str, Mapping[str, str]], profiles: Iterable[str]
) -> dict[str, dict[str, str]]:
    """Profile -> reference -> href that it meant before. What an older busyd kept for all is kept for each there is."""
    for_all = resolved.get("", {})
    return {name: dict(resolved.get(name, for_all)) for name in {*profiles, *resolved} if name}


def resolve_links(
    profile: Profile,
    records: Mapping[str, Sequence[CalendarRecord]],
    *,
    remembered: Mapping[str, str],
    machine_zone: str,
    partial: Mapping[str, str] | None = None,
) -> tuple[Link, ...]:
    """The links of a profile, each calendar once; the one for blocks, which does not count by that, comes last.

    `records` are the known calendars by connection (a connection without an entry was never listed); `remembered` maps
    references to the href they meant before; `partial` says of a connection why it may have further calendars.
    """
    links: list[Link] = []
    if profile.primary is not None:
        links += _resolve_one(
            profile,
            profile.primary,
            role=CalendarRole.PRIMARY,
            records=records,
            remembered=remembered,
            machine_zone=machine_zone,
        )
    primary = links[0].href if links else None
    named = [reference for reference in profile.conflicts if not reference.is_wildcard]
    for reference in named:
        links += _resolve_one(
            profile,
            reference,
            role=CalendarRole.CONFLICT,
            records=records,
            remembered=remembered,
            machine_zone=machine_zone,
        )
    for reference in profile.conflicts:
        if reference.is_wildcard:
            links += _resolve_all(profile, reference, primary=primary, records=records, machine_zone=machine_zone)
            if partial and reference.connection in partial:
                # Any of those that are not shown would count: their time is not known.
                trouble = f"{partial[reference.connection]}; name the calendars that count instead of {reference}"
                links.append(_nowhere(reference, CalendarRole.CONFLICT, trouble=trouble))
    bound = bind_rules(profile, records, remembered=remembered)
    counted = tuple(_with_rules(profile, _once_each(links), records=records, bound=bound))
    if profile.blocks is None:
        return counted
    return counted + tuple(
        _resolve_one(
            profile,
            profile.blocks,
            role=CalendarRole.BLOCKS,
            records=records,
            remembered=remembered,
            machine_zone=machine_zone,
        )
    )


def _resolve_one(
    profile: Profile,
    reference: CalendarReference,
    *,
    role: CalendarRole,
    records: Mapping[str, Sequence[CalendarRecord]],
    remembered: Mapping[str, str],
    machine_zone: str,
) -> list[Link]:
    blocks = role is CalendarRole.CONFLICT or (role is CalendarRole.PRIMARY and profile.primary_blocks)
    known = records.get(reference.connection)
    if known is None:
        trouble = "its calendars have not been listed yet"
        return [Link(reference, role, str(reference), None, blocks=blocks, trouble=trouble)]
    try:
        record = _find(reference, known, remembered=remembered)
    except AmbiguousCalendar as error:
        return [Link(reference, role, str(reference), None, blocks=blocks, trouble=f"{error}; {error.fix}")]
    if record is None:
        trouble = describe_unknown(reference, [record.remote for record in known if not record.gone])
        return [Link(reference, role, str(reference), None, blocks=blocks, trouble=trouble)]
    return [_link(profile, reference, role=role, record=record, machine_zone=machine_zone, blocks=blocks)]


def describe_unknown(reference: CalendarReference, calendars: Iterable[RemoteCalendar]) -> str:
    """What to say of a reference that no calendar of its connection fits: what was meant, and what there is."""
    names = sorted(calendar.name or calendar.id for calendar in calendars)
    near = did_you_mean(reference.calendar, names, prefix=f"{reference.connection}/")
    there = ", ".join(names) or "none"
    return f"{reference.connection} has no calendar {reference.calendar!r}{near or ';'} it has: {there}"


def _find(
    reference: CalendarReference, known: Sequence[CalendarRecord], *, remembered: Mapping[str, str]
) -> CalendarRecord | None:
    """The calendar that a reference means. Raises AmbiguousCalendar."""
    href = remembered.get(str(reference))
    # A calendar that is there wins over the remembered one that is gone: it may have been made again.
    found = find_calendar(reference, [record.remote for record in known if not record.gone], remembered=href)
    wanted = found.href if found is not None else href
    return next((record for record in known if record.remote.href == wanted), None)


def _resolve_all(
    profile: Profile,
    reference: CalendarReference,
    *,
    primary: str | None,
    records: Mapping[str, Sequence[CalendarRecord]],
    machine_zone: str,
) -> list[Link]:
    known = records.get(reference.connection)
    if known is None:
        return [_nowhere(reference, CalendarRole.CONFLICT, trouble="its calendars have not been listed yet")]
    if not known:
        return [_nowhere(reference, CalendarRole.CONFLICT, trouble="its server lists no event calendar at all")]
    chosen = {
        remote.href
        for remote in calendars_by_default([record.remote for record in known if not record.gone], primary=primary)
    }
    return [
        _link(profile, reference, role=CalendarRole.CONFLICT, record=record, machine_zone=machine_zone, blocks=True)
        for record in known
        if record.remote.href in chosen
    ]


def _nowhere(reference: CalendarReference, role: CalendarRole, *, trouble: str) -> Link:
    return Link(reference, role, str(reference), None, trouble=trouble)


def _link(
    profile: Profile,
    reference: CalendarReference,
    *,
    role: CalendarRole,
    record: CalendarRecord,
    machine_zone: str,
    blocks: bool,
) -> Link:
    return Link(
        reference=reference,
        role=role,
        label=record.label,
        calendar=record.id,
        href=record.remote.href,
        zone=_zone(profile.timezone, record.remote.timezone, machine_zone),
        blocks=blocks,
    )


def _zone(*names: str | None) -> str:
    """IANA name of the first that is a zone: a calendar may bear a name of its server's own making."""
    known = (find_zone(name) for name in names if name)
    return next((zone.name for zone in known if zone is not None), "UTC")


def bind_rules(
    profile: Profile, records: Mapping[str, Sequence[CalendarRecord]], *, remembered: Mapping[str, str]
) -> dict[CalendarReference, CalendarRecord]:
    """The one calendar that each key of `calendars:` means, by the rules of links: also after it was renamed.

    A key that names several calendars, or a whole connection, is bound to none.
    """
    bound = {}
    for reference in profile.calendar_rules:
        if not reference.calendar or reference.is_wildcard:
            continue
        with contextlib.suppress(AmbiguousCalendar):
            record = _find(reference, records.get(reference.connection, ()), remembered=remembered)
            if record is not None:
                bound[reference] = record
    return bound


def _with_rules(
    profile: Profile,
    links: Iterable[Link],
    *,
    records: Mapping[str, Sequence[CalendarRecord]],
    bound: Mapping[CalendarReference, CalendarRecord],
) -> Iterator[Link]:
    """Each link with the rules the user wrote for its calendar, else those of the profile."""
    for link in links:
        known = records.get(link.reference.connection, ())
        record = next((record for record in known if record.id == link.calendar), None)
        reference = _rules_of(profile, record, bound=bound) if record is not None else None
        if record is None or reference is None:
            yield replace(link, rules=profile.rules)
            continue
        note = "" if is_called(record, reference) else _renamed(reference, record=record, known=known)
        rules, max_age = profile.calendar_rules[reference], profile.calendar_max_age.get(reference)
        yield replace(link, rules=rules, max_age=max_age, note=note)


def _rules_of(
    profile: Profile, record: CalendarRecord, *, bound: Mapping[CalendarReference, CalendarRecord]
) -> CalendarReference | None:
    """The key of `calendars:` that counts for a calendar: the first that is bound to it or, bound to none, names it;
    CONNECTION/* counts for those that no other names."""
    for reference in sorted(profile.calendar_rules, key=lambda written: written.is_wildcard):
        if reference.connection != record.connection:
            continue
        owner = bound.get(reference)
        if (owner is None and is_called(record, reference)) or (owner is not None and owner.id == record.id):
            return reference
    return None


def is_called(record: CalendarRecord, reference: CalendarReference) -> bool:
    """Whether a reference names a calendar as that is called now."""
    remote, wanted = record.remote, reference.calendar
    return (
        wanted in ("", "*", remote.id, remote.href, remote.href.rstrip("/"))
        or wanted.casefold() == remote.name.casefold()
    )


def _renamed(reference: CalendarReference, *, record: CalendarRecord, known: Sequence[CalendarRecord]) -> str:
    named = any(is_called(other, reference) for other in known if other.id != record.id and not other.gone)
    others = f", not to the one that is called {reference.calendar!r} now" if named else ""
    then = f"its rules for {reference} were written when {record.label} had that name, and go on applying to it{others}"
    return f"{then}; write {record.connection}/{record.remote.id} under `calendars` to say so"


def _once_each(links: Sequence[Link]) -> tuple[Link, ...]:
    """Drop repetitions; a primary that does not block counts all the same when it is a conflict calendar by name."""
    kept: dict[tuple[str, int | str], Link] = {}
    for link in links:
        key = (link.reference.connection, link.calendar if link.calendar is not None else str(link.reference))
        known = kept.get(key)
        if known is None or (link.blocks and not known.blocks):
            kept[key] = link
    return tuple(kept.values())
