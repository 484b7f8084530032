"""`GET /v1/profiles/{profile}/freebusy`, as JSON or as one VFREEBUSY: the question busyd is there for.

`FreeBusyHandler.at_once` answers what can be answered without a second thought: the very text of a question that was
answered before, and a window written out in UTC. All else goes through `get_freebusy`; both write the same bytes.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.snapshot import with_unknown
from busyd.flow.ask import FreeBusyAnswer, answer, freshness_of
from busyd.http.facade import Backend
from busyd.http.freshness import FreshnessCache, RenderedFreshness, render_freshness
from busyd.http.problem import HttpProblem, unknown_profile
from busyd.http.query import MAX_WINDOW, parse_seconds, parse_window, parse_word
from busyd.http.rendered_periods import RenderedPeriods, weigh, write_edges, write_piece
from busyd.http.response import Finished, headers_for
from busyd.http.routes import Call
from busyd.ical.compose import compose_vfreebusy
from busyd.ical.zones import Zone, reading_zone
from busyd.period import Instant, Period, Span, to_rfc3339
from busyd.state.state import ProfileState, State

PARAMETERS: Final = frozenset({"start", "end", "tz", "max_age", "on_stale"})
CALENDAR: Final = "text/calendar; charset=utf-8; component=VFREEBUSY"
ON_STALE: Final = ("serve", "busy", "error")

_KEPT_BYTES: Final = 2 * 1024 * 1024
_ASKED: Final = 4096
"""Marks of questions that were asked once."""
_LONGEST_QUESTION: Final = 256
_64_BITS: Final = 2**64 - 1
_AT_ONCE: Final = 500
"""Spans written without letting others run: about a millisecond."""
_TIME: Final = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
_PLAIN = re.compile(rf"/v1/profiles/([a-z0-9_-]+)/freebusy\?start={_TIME}&end={_TIME}", re.ASCII)


class Kept(Struct):
    """A finished answer and what it was made from."""

    profile: str
    finished: Finished
    rendered: RenderedFreshness
    version: int
    moment: Instant | None
    """The present it was made for, when the question was relative to it."""


class FreeBusyHandler:
    """Answers the question, and remembers what it answered."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.freshness_cache = FreshnessCache()
        self._rendered_periods: dict[str, RenderedPeriods] = {}
        self._kept: dict[str, Kept] = {}
        self._kept_bytes = 0
        self._asked = [0] * _ASKED

    def at_once(self, question: str, now: Instant) -> Kept | None:
        """The answer to the text of a question, path and all, if that needs no waiting and no thought."""
        kept = self._kept.get(question)
        if kept is not None:
            state = self._backend.state
            profile_state = state.profiles.get(kept.profile)
            if (
                profile_state is not None
                and kept.rendered.holds(state, profile_state, now)
                and kept.version == profile_state.version
                and (kept.moment is None or kept.moment == now)
            ):
                return kept
            self._forget(question, kept)
        return self._answer_plain(question, now)

    def _answer_plain(self, question: str, now: Instant) -> Kept | None:
        found = _PLAIN.fullmatch(question.replace("%3A", ":") if "%" in question else question)
        profile_state = self._backend.state.profiles.get(found[1]) if found is not None else None
        if found is None or profile_state is None:
            return None
        try:
            start, end = datetime.fromisoformat(found[2]).timestamp(), datetime.fromisoformat(found[3]).timestamp()
        except ValueError:
            return None
        if not 0 < end - start <= MAX_WINDOW:
            return None
        rendered = self.freshness_cache.of(self._backend.state, profile_state, now)
        edges = f'{found[2]}","end":"{found[3]}'.encode()
        finished = self._from_rendered_periods(
            profile_state, rendered, Period(Instant(int(start)), Instant(int(end))), edges
        )
        if finished is None:
            return None
        kept = Kept(profile_state.profile.name, finished, rendered, profile_state.version, None)
        self._keep(question, kept)
        return kept

    async def get_freebusy(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=call.head.calendar)

    async def get_ifb(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=True)

    async def _get(self, call: Call, *, as_calendar: bool) -> web.StreamResponse:
        query, now = call.query, self._backend.clock.now()
        state = self._backend.state
        profile_state = profile_of(state, call.value)
        window, relative = parse_window(query, now=now, zone=partial(zone_of, state, profile_state))
        on_stale = parse_word("on_stale", query.get("on_stale", "serve"), ON_STALE)
        rendered, version = await self.render_freshness(profile_state, query.get("max_age"), now), profile_state.version
        plain = not as_calendar and not (rendered.freshness.stale and on_stale != "serve")
        finished = self._from_rendered_periods(profile_state, rendered, window, write_edges(window)) if plain else None
        if finished is None:
            found = await self.find(profile_state, rendered, window)
            spans = consider_age(found, on_stale)
            finished = self._calendar(found, spans) if as_calendar else await self._json(found, spans, rendered)
        if not as_calendar and "max_age" not in query:
            kept = Kept(profile_state.profile.name, finished, rendered, version, now if relative else None)
            self._keep(call.request.raw_path, kept)
        return await finished.response(call.head)

    async def render_freshness(
        self, profile_state: ProfileState, max_age: str | None, now: Instant
    ) -> RenderedFreshness:
        """How far the profile can be trusted: by its own rules, or by the age that a question names.

        For the latter the remotes are asked when the proof is older. Raises HttpProblem when there is no fresher one.
        """
        state = self._backend.state
        if max_age is None:
            return self.freshness_cache.of(state, profile_state, now)
        age = parse_seconds("max_age", max_age)
        await _ask_for_fresh(self._backend, profile_state, age, now)
        later = self._backend.clock.now()
        return render_freshness(state, profile_state, later, max_age=age + later - now)

    async def find(self, profile_state: ProfileState, rendered: RenderedFreshness, window: Period) -> FreeBusyAnswer:
        """The answer from memory; only beyond the horizon the backend has to look further."""
        if profile_state.snapshot is None or profile_state.snapshot.covers(window):
            return answer(profile_state, profile_state.snapshot, rendered.freshness, window)
        found = await self._backend.freebusy(profile_state.profile.name, window)
        return replace(found, freshness=rendered.freshness)

    def _from_rendered_periods(
        self, profile_state: ProfileState, rendered: RenderedFreshness, window: Period, edges: bytes
    ) -> Finished | None:
        """The answer where all is known, which is nearly always; None where `find` has to weigh what is not."""
        snapshot = profile_state.snapshot
        if snapshot is None or not rendered.freshness.known or not snapshot.covers(window):
            return None
        rendered_periods = self._rendered_periods.get(profile_state.profile.name)
        if rendered_periods is None or rendered_periods.snapshot is not snapshot:
            rendered_periods = self._rendered_periods[profile_state.profile.name] = RenderedPeriods(snapshot)
        read = rendered_periods.read(window, edges)
        if read is None:
            return None
        complete = not (snapshot.unknown or snapshot.incomplete) or snapshot.understood(window)
        return _finish(rendered, edges, read, complete=complete)

    async def _json(self, found: FreeBusyAnswer, spans: Sequence[Span], rendered: RenderedFreshness) -> Finished:
        pieces, weight = [], 0
        for number, span in enumerate(spans, 1):
            piece = write_piece(*span)
            pieces.append(piece)
            weight += weigh(piece)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return _finish(rendered, write_edges(found.window), (b",".join(pieces), weight), complete=found.complete)

    def _calendar(self, found: FreeBusyAnswer, spans: Sequence[Span]) -> Finished:
        as_of = found.freshness.as_of
        identity = f"{found.profile}/{found.window}"
        uid = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        stamp = as_of if as_of is not None else self._backend.clock.now()
        body = compose_vfreebusy(found.window, spans, uid=f"{uid}@busyd", stamp=stamp)
        connection_state = ";".join(f"{one.calendar}={one.state.value}" for one in found.freshness.calendars)
        content = f"{identity}{connection_state}{found.freshness.stale}{found.complete}{list(spans)}"
        tag = hashlib.blake2b(content.encode(), digest_size=9).hexdigest()
        headers = headers_for(CALENDAR)
        if as_of is not None:
            headers["Busyd-As-Of"] = to_rfc3339(as_of)
        return Finished(body, headers, f'W/"c{tag}"')

    def _keep(self, question: str, kept: Kept) -> None:
        """Keep the answer of a question that was asked before: most windows are asked for once."""
        size = len(kept.finished.body)
        if len(question) > _LONGEST_QUESTION:
            return
        mark = hash(question)
        if self._asked[mark % _ASKED] != mark:
            self._asked[mark % _ASKED] = mark
            return
        if size > _KEPT_BYTES // 8:
            return
        before = self._kept.get(question)
        if before is not None:
            self._forget(question, before)
        if self._kept_bytes + size > _KEPT_BYTES:
            self._kept.clear()
            self._kept_bytes = 0
        self._kept[question] = kept
        self._kept_bytes += size

    def _forget(self, question: str, kept: Kept) -> None:
        del self._kept[question]
        self._kept_bytes -= len(kept.finished.body)


def _finish(rendered: RenderedFreshness, edges: bytes, read: tuple[bytes, int], *, complete: bool) -> Finished:
    """The whole answer around its busy list. The tag stands for the list and its state, not for the proof."""
    busy, weight = read
    parts = rendered.complete if complete else rendered.incomplete
    body = b"".join(
        (
            rendered.opening,
            edges,
            parts.before,
            busy,
            rendered.closing,
        )
    )
    return Finished(body, parts.headers, f'W/"{weight & _64_BITS:x}-{parts.tag}"', parts.fields)


def profile_of(state: State, name: str) -> ProfileState:
    """Raises HttpProblem."""
    profile_state = state.profiles.get(name)
    if profile_state is None:
        raise unknown_profile(name)
    return profile_state


def zone_of(state: State, profile_state: ProfileState) -> Zone:
    """The zone in which a profile's days begin: its own, that of its primary, or the machine's."""
    if profile_state.profile.timezone is not None:
        return reading_zone(profile_state.profile.timezone)
    primary = next((link.zone for link in profile_state.links if link.zone), "")
    return reading_zone(primary or state.machine_zone)


async def _ask_for_fresh(backend: Backend, profile_state: ProfileState, age: int, now: Instant) -> None:
    """Have the remotes asked when the proof is older than wished. Raises HttpProblem when there is no fresher one."""
    check_configured(profile_state)
    as_of = freshness_of(backend.state, profile_state, now).as_of
    if as_of is not None and now - as_of <= age:
        return
    if not await backend.refresh(profile_state.profile.name, timedelta(seconds=age)):
        raise HttpProblem(
            "stale",
            503,
            f"a proof not older than {age} seconds could not be had from the calendars of {profile_state.profile.name}",
            fix="GET /v1/status says which connection is in trouble; without max_age the last known state is served",
            headers={"Retry-After": "30"},
        )


def check_configured(profile_state: ProfileState) -> None:
    """Raises HttpProblem for a profile that is linked to nothing: it is not "all free"."""
    if not any(link.blocks for link in profile_state.links):
        name = profile_state.profile.name
        raise HttpProblem(
            "unconfigured",
            409,
            f"the profile {name} is linked to no calendar that blocks, so nothing is known to be free",
            fix=f"set `primary:` or `conflicts:` of {name} in the configuration",
        )


def consider_age(found: FreeBusyAnswer, on_stale: str) -> list[Span]:
    """The spans as the caller wants them when they are old. Raises HttpProblem with `error`."""
    if not found.freshness.stale or on_stale == "serve":
        return found.spans
    if on_stale == "busy":
        return with_unknown(found.spans, found.window)
    as_of = found.freshness.as_of
    since = f"was last confirmed at {to_rfc3339(as_of)}" if as_of is not None else "was never completely read"
    raise HttpProblem(
        "stale",
        503,
        f"what is known of {found.profile} {since}",
        fix="GET /v1/status says which connection is in trouble; on_stale=serve answers with the last known state",
        headers={"Retry-After": "60"},
    )
