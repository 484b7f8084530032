"""`GET /v1/profiles/{profile}/slots`: where an appointment fits. Never offers what is not known to be free."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Final

from aiohttp import web

from busyd.availability.hours import Hours, SlotDefaults
from busyd.availability.slots import SlotShape, count_steps, open_slots
from busyd.availability.snapshot import with_unknown
from busyd.flow.ask import FreeBusyAnswer
from busyd.http.facade import Backend
from busyd.http.freebusy import (
    ON_STALE,
    FreeBusyHandler,
    check_configured,
    consider_age,
    profile_of,
    zone_of,
)
from busyd.http.freshness import RenderedFreshness
from busyd.http.problem import HttpProblem, bad_request
from busyd.http.query import parse_seconds, parse_window, parse_word
from busyd.http.response import JSON, Finished, headers_for
from busyd.http.routes import Call
from busyd.ical.zones import Zone
from busyd.period import EARLIEST, LATEST, Instant, Period, Span, to_rfc3339
from busyd.state.state import ProfileState

SHAPE_PARAMETERS: Final = frozenset(
    {"duration", "step", "notice", "buffer_before", "buffer_after", "hours", "tentative"}
)
PARAMETERS: Final = SHAPE_PARAMETERS | {"start", "end", "tz", "max_age", "on_stale"}
MAX_STEPS: Final = 300_000
"""Points of the grid inside the hours of a window: enough for 1000 days at a step of five minutes."""
_MINUTE: Final = 60


class SlotsHandler:
    """Cuts what is free into slots."""

    def __init__(self, backend: Backend, freebusy: FreeBusyHandler) -> None:
        self._backend = backend
        self._freebusy = freebusy

    async def get_slots(self, call: Call) -> web.StreamResponse:
        query, now = call.query, self._backend.clock.now()
        state = self._backend.state
        profile_state = profile_of(state, call.value)
        window, _ = parse_window(query, now=now, zone=partial(zone_of, state, profile_state))
        shape = shape_of(query, profile_state.profile.slots)
        notice = duration_of(query, "notice", profile_state.profile.slots.notice)
        if "hours" in query:
            parse_word("hours", query["hours"], ("none",))
        hours = None if "hours" in query else profile_state.profile.hours
        on_stale = parse_word("on_stale", query.get("on_stale", "error"), ON_STALE)
        zone = zone_of(state, profile_state)
        _check_steps(window, zone, hours, shape.step)
        check_configured(profile_state)
        rendered = await self._freebusy.render_freshness(profile_state, query.get("max_age"), now)
        found, busy = await self._busy(profile_state, rendered, window, shape, on_stale)
        slots: list[str] = []
        for slot in open_slots(busy, window, zone=zone, hours=hours, shape=shape, earliest=now + notice):
            if slot is None:
                await asyncio.sleep(0)
            else:
                slots.append(f'{{"start":"{to_rfc3339(slot[0])}","end":"{to_rfc3339(slot[1])}"}}')
        head = f'{{"profile":"{found.profile}","start":"{to_rfc3339(window.start)}","end":"{to_rfc3339(window.end)}"'
        complete = "true" if found.complete else "false"
        text = f'{head}{rendered.trust},"complete":{complete},"slots":[{",".join(slots)}]}}'
        headers = headers_for(JSON)
        if rendered.as_of:
            headers["Busyd-As-Of"] = rendered.as_of
        return await Finished(text.encode(), headers).response(call.head)

    async def _busy(
        self, profile_state: ProfileState, rendered: RenderedFreshness, window: Period, shape: SlotShape, on_stale: str
    ) -> tuple[FreeBusyAnswer, list[Span]]:
        """What is busy in the window and as far around it as the buffers reach. Raises HttpProblem when not known."""
        low, high = shape.reach(window)
        wide = Period(Instant(max(low, EARLIEST)), Instant(min(high, LATEST)))
        found = await self._freebusy.find(profile_state, rendered, wide)
        busy = consider_age(found, on_stale)
        if profile_state.snapshot is not None and profile_state.snapshot.incomplete:
            # The event may be at any time, so as long as it is there nothing is certainly free.
            if on_stale == "error":
                raise _incomplete(profile_state.profile.name)
            if on_stale == "busy":
                busy = with_unknown(busy, wide)
        return found, busy


def _check_steps(window: Period, zone: Zone, hours: Hours | None, step: int) -> None:
    if (window.end - window.start) // step <= MAX_STEPS:  # then there are no more inside the hours
        return
    if count_steps(window, zone=zone, hours=hours, step=step) > MAX_STEPS:
        detail = f"the window holds more than {MAX_STEPS} steps inside the hours"
        raise bad_request(detail, fix="ask for a shorter window, or a longer step")


def _incomplete(profile: str) -> HttpProblem:
    return HttpProblem(
        "incomplete",
        503,
        f"an event in the calendars of {profile} could not be understood, and it may be at any time",
        fix="GET /v1/status lists it under problems: correct or delete it in your calendar app;"
        " on_stale=serve offers what is free without it",
    )


def shape_of(query: Mapping[str, str], defaults: SlotDefaults) -> SlotShape:
    """The shape asked for, with the profile's own where the question is silent. Raises HttpProblem."""
    return SlotShape(
        duration=duration_of(query, "duration", defaults.duration, least=_MINUTE),
        step=duration_of(query, "step", defaults.step, least=_MINUTE),
        buffer_before=duration_of(query, "buffer_before", defaults.buffer_before),
        buffer_after=duration_of(query, "buffer_after", defaults.buffer_after),
        tentative_blocks=parse_word("tentative", query.get("tentative", "busy"), ("busy", "free")) == "busy",
    )


def duration_of(query: Mapping[str, str], name: str, default: timedelta, *, least: int = 0) -> int:
    """Seconds of a duration parameter. Raises HttpProblem."""
    text = query.get(name)
    return int(default.total_seconds()) if text is None else parse_seconds(name, text, least=least)
