"""`GET /v1/profiles/{profile}/freebusy`, as JSON or as one VFREEBUSY: the question busyd is there for.

`FreeBusyDoor.at_once` answers what can be answered without a second thought: the very text of a question that was
answered before, and a window written out in UTC. All else goes through `get_freebusy`; both write the same bytes.
"""

import asyncio
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from busyd.availability.snapshot import with_unknown
from busyd.flow.ask import FreeBusyAnswer, answer, standing_of
from busyd.http.facade import House
from busyd.http.freshness import Judged, Standings, judge
from busyd.http.problem import HttpProblem, unknown_profile
from busyd.http.query import MAX_WINDOW, parse_duration, parse_window, parse_word
from busyd.http.rendered_periods import Sheet, weigh, write_edges, write_piece
from busyd.http.response import Finished, headers_for
from busyd.http.routes import Call
from busyd.ical.compose import compose_vfreebusy
from busyd.period import Instant, Period, Span, to_rfc3339
from busyd.state.state import ProfileState, Register

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
    judged: Judged
    version: int
    moment: Instant | None
    """The present it was made for, when the question was relative to it."""


class FreeBusyDoor:
    """Answers the question, and remembers what it answered."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.standings = Standings()
        self._sheets: dict[str, Sheet] = {}
        self._kept: dict[str, Kept] = {}
        self._kept_bytes = 0
        self._asked = [0] * _ASKED

    def at_once(self, question: str, now: Instant) -> Kept | None:
        """The answer to the text of a question, path and all, if that needs no waiting and no thought."""
        kept = self._kept.get(question)
        if kept is not None:
            register = self._house.register
            state = register.profiles.get(kept.profile)
            if (
                state is not None
                and kept.judged.holds(register, state, now)
                and kept.version == state.version
                and (kept.moment is None or kept.moment == now)
            ):
                return kept
            self._forget(question, kept)
        return self._answer_plain(question, now)

    def _answer_plain(self, question: str, now: Instant) -> Kept | None:
        found = _PLAIN.fullmatch(question.replace("%3A", ":") if "%" in question else question)
        state = self._house.register.profiles.get(found[1]) if found is not None else None
        if found is None or state is None:
            return None
        try:
            start, end = datetime.fromisoformat(found[2]).timestamp(), datetime.fromisoformat(found[3]).timestamp()
        except ValueError:
            return None
        if not 0 < end - start <= MAX_WINDOW:
            return None
        judged = self.standings.of(self._house.register, state, now)
        edges = f'{found[2]}","end":"{found[3]}'.encode()
        finished = self._from_sheet(state, judged, Period(Instant(int(start)), Instant(int(end))), edges)
        if finished is None:
            return None
        kept = Kept(state.profile.name, finished, judged, state.version, None)
        self._keep(question, kept)
        return kept

    async def get_freebusy(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=call.head.calendar)

    async def get_ifb(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=True)

    async def _get(self, call: Call, *, as_calendar: bool) -> web.StreamResponse:
        query, now = call.query, self._house.clock.now()
        register = self._house.register
        state = profile_of(register, call.value)
        window, relative = parse_window(query, now=now, zone=partial(zone_of, register, state))
        on_stale = parse_word("on_stale", query.get("on_stale", "serve"), ON_STALE)
        judged, version = await self.judge(state, query.get("max_age"), now), state.version
        plain = not as_calendar and not (judged.standing.stale and on_stale != "serve")
        finished = self._from_sheet(state, judged, window, write_edges(window)) if plain else None
        if finished is None:
            found = await self.find(state, judged, window)
            spans = consider_age(found, on_stale)
            finished = self._calendar(found, spans) if as_calendar else await self._json(found, spans, judged)
        if not as_calendar and "max_age" not in query:
            kept = Kept(state.profile.name, finished, judged, version, now if relative else None)
            self._keep(call.request.raw_path, kept)
        return await finished.response(call.head)

    async def judge(self, state: ProfileState, max_age: str | None, now: Instant) -> Judged:
        """How far the profile can be trusted: by its own rules, or by the age that a question names.

        For the latter the remotes are asked when the proof is older. Raises HttpProblem when there is no fresher one.
        """
        register = self._house.register
        if max_age is None:
            return self.standings.of(register, state, now)
        age = parse_duration("max_age", max_age)
        await _ask_for_fresh(self._house, state, age, now)
        later = self._house.clock.now()
        return judge(register, state, later, max_age=age + later - now)

    async def find(self, state: ProfileState, judged: Judged, window: Period) -> FreeBusyAnswer:
        """The answer from memory; only beyond the horizon the house has to look further."""
        if state.snapshot is None or state.snapshot.covers(window):
            return answer(state, state.snapshot, judged.standing, window)
        found = await self._house.freebusy(state.profile.name, window)
        return replace(found, standing=judged.standing)

    def _from_sheet(self, state: ProfileState, judged: Judged, window: Period, edges: bytes) -> Finished | None:
        """The answer where all is known, which is nearly always; None where `find` has to weigh what is not."""
        snapshot = state.snapshot
        if snapshot is None or not judged.standing.known or not snapshot.covers(window):
            return None
        sheet = self._sheets.get(state.profile.name)
        if sheet is None or sheet.snapshot is not snapshot:
            sheet = self._sheets[state.profile.name] = Sheet(snapshot)
        read = sheet.read(window, edges)
        if read is None:
            return None
        complete = not (snapshot.unknown or snapshot.incomplete) or snapshot.understood(window)
        return _finish(judged, edges, read, complete=complete)

    async def _json(self, found: FreeBusyAnswer, spans: Sequence[Span], judged: Judged) -> Finished:
        pieces, weight = [], 0
        for number, span in enumerate(spans, 1):
            piece = write_piece(*span)
            pieces.append(piece)
            weight += weigh(piece)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        return _finish(judged, write_edges(found.window), (b",".join(pieces), weight), complete=found.complete)

    def _calendar(self, found: FreeBusyAnswer, spans: Sequence[Span]) -> Finished:
        as_of = found.standing.as_of
        identity = f"{found.profile}/{found.window}"
        uid = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
        stamp = as_of if as_of is not None else self._house.clock.now()
        body = compose_vfreebusy(found.window, spans, uid=f"{uid}@busyd", stamp=stamp)
        state = ";".join(f"{one.calendar}={one.state.value}" for one in found.standing.calendars)
        content = f"{identity}{state}{found.standing.stale}{found.complete}{list(spans)}"
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


def _finish(judged: Judged, edges: bytes, read: tuple[bytes, int], *, complete: bool) -> Finished:
    """The whole answer around its busy list. The tag stands for the list and its state, not for the proof."""
    busy, weight = read
    parts = judged.complete if complete else judged.incomplete
    body = b"".join(
        (
            judged.opening,
            edges,
            parts.before,
            busy,
            judged.closing,
        )
    )
    return Finished(body, parts.headers, f'W/"{weight & _64_BITS:x}-{parts.tag}"', parts.fields)


def profile_of(register: Register, name: str) -> ProfileState:
    """Raises HttpProblem."""
    state = register.profiles.get(name)
    if state is None:
        raise unknown_profile(name)
    return state


def zone_of(register: Register, state: ProfileState) -> ZoneInfo:
    """The zone in which a profile's days begin: its own, that of its primary, or the machine's."""
    if state.profile.timezone is not None:
        return ZoneInfo(state.profile.timezone)
    primary = next((link.zone for link in state.links if link.zone), "")
    return ZoneInfo(primary or register.machine_zone)


async def _ask_for_fresh(house: House, state: ProfileState, age: int, now: Instant) -> None:
    """Have the remotes asked when the proof is older than wished. Raises HttpProblem when there is no fresher one."""
    check_configured(state)
    as_of = standing_of(house.register, state, now).as_of
    if as_of is not None and now - as_of <= age:
        return
    if not await house.refresh(state.profile.name, timedelta(seconds=age)):
        raise HttpProblem(
            "stale",
            503,
            f"a proof not older than {age} seconds could not be had from the calendars of {state.profile.name}",
            fix="GET /v1/status says which connection is in trouble; without max_age the last known state is served",
            headers={"Retry-After": "30"},
        )


def check_configured(state: ProfileState) -> None:
    """Raises HttpProblem for a profile that is linked to nothing: it is not "all free"."""
    if not any(link.blocks for link in state.links):
        name = state.profile.name
        raise HttpProblem(
            "unconfigured",
            409,
            f"the profile {name} is linked to no calendar that blocks, so nothing is known to be free",
            fix=f"set `primary:` or `conflicts:` of {name} in the configuration",
        )


def consider_age(found: FreeBusyAnswer, on_stale: str) -> list[Span]:
    """The spans as the caller wants them when they are old. Raises HttpProblem with `error`."""
    if not found.standing.stale or on_stale == "serve":
        return found.spans
    if on_stale == "busy":
        return with_unknown(found.spans, found.window)
    as_of = found.standing.as_of
    since = f"was last confirmed at {to_rfc3339(as_of)}" if as_of is not None else "was never completely read"
    raise HttpProblem(
        "stale",
        503,
        f"what is known of {found.profile} {since}",
        fix="GET /v1/status says which connection is in trouble; on_stale=serve answers with the last known state",
        headers={"Retry-After": "60"},
    )
