"""How far a profile's answers can be trusted, remembered until something changes or the clock makes it stale."""

import hashlib

import msgspec
from msgspec import Struct
from multidict import CIMultiDict

from busyd.flow.ask import CalendarState, Freshness, freshness_of
from busyd.http.response import JSON, as_fields, headers_for
from busyd.period import Instant, to_rfc3339
from busyd.state.state import ProfileState, State


class Parts(Struct, frozen=True):
    """The parts of a JSON answer that depend on whether it is complete."""

    before: bytes
    """From behind the window's end to the bracket that opens the busy list."""
    headers: CIMultiDict[str]
    fields: bytes
    """The same as they go over the wire."""
    tag: str
    """What an ETag must depend on beside the list: the state without its times."""


class RenderedFreshness(Struct, frozen=True):
    """A freshness, the seconds in which it holds, and its parts of an answer."""

    freshness: Freshness
    state: State
    profile_state: ProfileState
    proofs: int
    first: Instant
    """The moment it was made; a clock set back makes it worthless."""
    last: Instant
    """The last second before something turns stale by age alone."""
    as_of: str
    """RFC 3339; empty when a calendar was never read."""
    trust: str
    """`,"as_of":…,"stale":…`."""
    opening: bytes
    """From the brace to the window's start."""
    closing: bytes
    """From the bracket behind the busy list to the end."""
    complete: Parts
    incomplete: Parts

    def holds(self, state: State, profile_state: ProfileState, now: Instant) -> bool:
        return (
            self.first <= now <= self.last
            and self.proofs == state.proofs
            and self.state is state
            and self.profile_state is profile_state
        )


class FreshnessCache:
    """The freshness of each profile."""

    def __init__(self) -> None:
        self._known: dict[str, RenderedFreshness] = {}

    def of(self, state: State, profile_state: ProfileState, now: Instant) -> RenderedFreshness:
        """The freshness at this moment."""
        name = profile_state.profile.name
        known = self._known.get(name)
        if known is None or not known.holds(state, profile_state, now):
            known = self._known[name] = render_freshness(state, profile_state, now)
        return known


def render_freshness(
    state: State, profile_state: ProfileState, now: Instant, *, max_age: int | None = None
) -> RenderedFreshness:
    """Ask the journey how the profile stands, and write down what answers need of it.

    `max_age`: seconds for which a proof holds, instead of what the profile says.
    """
    freshness = freshness_of(state, profile_state, now, max_age=max_age)
    turns = [turn for calendar in freshness.calendars if (turn := _turns(calendar, now)) is not None]
    as_of = to_rfc3339(freshness.as_of) if freshness.as_of is not None else ""
    calendars = [
        {
            "calendar": calendar.calendar,
            "as_of": to_rfc3339(calendar.as_of) if calendar.as_of is not None else None,
            "state": calendar.state.value,
            **({"detail": calendar.note} if calendar.note else {}),
        }
        for calendar in freshness.calendars
    ]
    shown = f'"{as_of}"' if as_of else "null"
    trust = f',"as_of":{shown},"stale":{"true" if freshness.stale else "false"}'
    return RenderedFreshness(
        freshness=freshness,
        state=state,
        profile_state=profile_state,
        proofs=state.proofs,
        first=now,
        last=Instant(min(turns, default=now + 3600)),
        as_of=as_of,
        trust=trust,
        opening=f'{{"profile":"{profile_state.profile.name}","start":"'.encode(),
        closing=b'],"calendars":' + msgspec.json.encode(calendars) + b"}",
        complete=_parts(freshness, trust, as_of, complete="true"),
        incomplete=_parts(freshness, trust, as_of, complete="false"),
    )


def _turns(calendar: CalendarState, now: Instant) -> int | None:
    """The last second for which a calendar's state is what it is now, when time alone will change it."""
    if calendar.as_of is None or calendar.fresh_until is None or now > calendar.fresh_until:
        return None
    return calendar.fresh_until if calendar.as_of <= now else calendar.as_of - 1


def word_for(rendered: RenderedFreshness) -> str:
    """The state of a profile in one word: unconfigured, loading, incomplete, stale or fresh."""
    if not rendered.freshness.calendars:
        return "unconfigured"
    if rendered.profile_state.snapshot is None:
        return "loading"
    if not rendered.freshness.known:
        return "incomplete"
    return "stale" if rendered.freshness.stale else "fresh"


def _parts(freshness: Freshness, trust: str, as_of: str, *, complete: str) -> Parts:
    states = [f"{calendar.calendar}={calendar.state.value}{calendar.note}" for calendar in freshness.calendars]
    connection_state = f"{complete};{freshness.stale};{';'.join(states)}"
    headers = headers_for(JSON)
    if as_of:
        headers["Busyd-As-Of"] = as_of
    return Parts(
        before=f'"{trust},"complete":{complete},"busy":['.encode(),
        headers=headers,
        fields=as_fields(headers),
        tag=hashlib.blake2b(connection_state.encode(), digest_size=5).hexdigest(),
    )
