"""What a snapshot of a profile is built from, and what names all of it."""

import hashlib
from collections.abc import Mapping, Sequence

from busyd.availability.building import Reading
from busyd.availability.policy import Rules
from busyd.state.links import Link
from busyd.state.profile_state import ProfileState
from busyd.state.state import State


def readings_of(state: State, profile_state: ProfileState, *, links: Sequence[Link]) -> tuple[Reading, ...] | None:
    """What a snapshot of the profile is built from: the calendars in the order of the links, then busyd's own rows.

    None while some column is not loaded yet.
    """
    readings = []
    addresses: dict[str, frozenset[str]] = {}
    rules: dict[int, Rules] = {}  # most links of a profile have the same
    for link in links:
        if link.calendar is None or not link.blocks:
            continue
        tables = state.tables.get(link.calendar, link.zone)
        if tables is None:
            return None
        me = addresses.get(link.reference.connection)
        if me is None:
            me = addresses[link.reference.connection] = state.addresses_for(profile_state, link.reference.connection)
        shared = rules.setdefault(id(link.rules), link.rules.without_origin())
        readings.append(Reading(tables, shared, me, link.calendar))
    return (*readings, *state.own.readings(profile_state.profile.name, links, facts=state.table))


def snapshot_key(
    state: State, profile_state: ProfileState, *, generations: Mapping[int, int], day: int, version: str
) -> str:
    """Names everything a snapshot depends on, so that a stored one is used only when it would be built the same.

    `generations`: calendar -> the generation of its index.
    """
    parts = [str(day), version, *sorted(state.problems.accepted)]
    for link in profile_state.next_links:
        if link.blocks:
            me = sorted(state.addresses_for(profile_state, link.reference.connection))
            generation = generations.get(link.calendar or 0)
            parts.append(repr((link.calendar, generation, link.zone, link.rules.without_origin(), me)))
    parts += map(repr, state.own.spans(profile_state.profile.name, profile_state.next_links))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
