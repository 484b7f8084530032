"""`GET /v1/profiles/{profile}/freebusy`, as JSON or as one VFREEBUSY.

`FreeBusyHandler.at_once` answers what needs neither waiting nor parsing: a question asked before in the same words, and
a window written out in UTC. Everything else goes through `get_freebusy`; both write the same bytes.
"""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final

from busyd.advice.unconfigured import describe_unconfigured, fix_unconfigured
from busyd.flow.ask import FreeBusyAnswer, OnStale, answer_at_once, resolve_stale
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.answer_cache import AnswerCache, CachedAnswer
from busyd.http.call import Call
from busyd.http.freebusy_json import FreeBusyJson, headers_as_of, write_edges
from busyd.http.problem import HttpProblem, unknown_profile
from busyd.http.query import MAX_WINDOW, parse_seconds, parse_window, parse_word
from busyd.http.response import Finished
from busyd.ical.compose import compose_vfreebusy
from busyd.ical.zones import Zone, reading_zone
from busyd.period import Instant, Period

PARAMETERS: Final = frozenset({"start", "end", "tz", "max_age", "on_stale"})
CALENDAR: Final = "text/calendar; charset=utf-8; component=VFREEBUSY"

_TIME: Final = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"
_PLAIN = re.compile(rf"/v1/profiles/([a-z0-9_-]+)/freebusy\?start={_TIME}&end={_TIME}", re.ASCII)


class FreeBusyHandler:
    """Says when a profile is busy, and remembers what it said."""

    def __init__(self, backend: Backend) -> None:
        self.cache = AnswerCache()
        self._backend = backend
        self._json = FreeBusyJson()

    def at_once(self, question: str, now: Instant) -> CachedAnswer | None:
        """The answer to the text of a question, path and all, where it needs no waiting."""
        known = self.cache.get(question)
        if known is not None and known.moment in (None, now):
            profile = self._backend.profile(known.profile)
            if profile is not None and profile.revision == known.revision:
                return known
        return self._answer_plain(question)

    def _answer_plain(self, question: str) -> CachedAnswer | None:
        matched = _PLAIN.fullmatch(question.replace("%3A", ":") if "%" in question else question)
        profile = self._backend.profile(matched[1]) if matched is not None else None
        if matched is None or profile is None:
            return None
        try:
            start, end = datetime.fromisoformat(matched[2]).timestamp(), datetime.fromisoformat(matched[3]).timestamp()
        except ValueError:
            return None
        if not 0 < end - start <= MAX_WINDOW:
            return None
        answer = answer_at_once(profile, Period(Instant(int(start)), Instant(int(end))))
        edges = f'{matched[2]}","end":"{matched[3]}'.encode()
        finished = self._json.render_at_once(answer, edges) if answer is not None else None
        if finished is None:
            return None
        made = CachedAnswer(profile.name, finished, profile.revision, None)
        self.cache.put(question, made)
        return made

    async def get_freebusy(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=call.head.calendar)

    async def get_ifb(self, call: Call) -> web.StreamResponse:
        return await self._get(call, as_calendar=True)

    async def _get(self, call: Call, *, as_calendar: bool) -> web.StreamResponse:
        query, now = call.query, self._backend.clock.now()
        profile = profile_of(self._backend, call)
        window, is_relative = parse_window(query, now=now, zone=partial(zone_of, profile))
        on_stale = parse_on_stale(query, default=OnStale.SERVE)
        answer = resolve_stale(await ask_freebusy(self._backend, profile, window=window, query=query), on_stale)
        if as_calendar:
            finished = vfreebusy(answer, now)
        else:
            finished = self._json.render_at_once(answer, write_edges(window)) or await self._json.render(answer)
            if "max_age" not in query:
                made = CachedAnswer(profile.name, finished, profile.revision, now if is_relative else None)
                self.cache.put(call.request.raw_path, made)
        return await finished.response(call.head)


def vfreebusy(answer: FreeBusyAnswer, now: Instant) -> Finished:
    """The answer as one VFREEBUSY; `now` stamps what was never confirmed."""
    as_of, spans = answer.freshness.as_of, answer.spans
    identity = f"{answer.profile}/{answer.window}"
    uid = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
    body = compose_vfreebusy(answer.window, spans, uid=f"{uid}@busyd", stamp=as_of if as_of is not None else now)
    states = ";".join(f"{calendar.calendar}={calendar.state.value}" for calendar in answer.freshness.calendars)
    content = f"{identity}{states}{answer.freshness.stale}{answer.complete}{spans}"
    tag = hashlib.blake2b(content.encode(), digest_size=9).hexdigest()
    return Finished(body, headers_as_of(CALENDAR, answer.freshness), f'W/"c{tag}"')


def profile_of(backend: Backend, call: Call) -> ProfileView:
    """The profile in the path of a request. Raises HttpProblem."""
    return view_of(backend, call.values["profile"])


def view_of(backend: Backend, name: str) -> ProfileView:
    """A profile as it is now. Raises HttpProblem."""
    profile = backend.profile(name)
    if profile is None:
        raise unknown_profile(name)
    return profile


def zone_of(profile: ProfileView) -> Zone:
    """The zone in which a profile's days begin."""
    return reading_zone(profile.timezone)


def parse_on_stale(query: Mapping[str, str], *, default: OnStale) -> OnStale:
    """What the question says about stale data. Raises HttpProblem."""
    text = query.get("on_stale")
    return default if text is None else OnStale(parse_word("on_stale", text, words=tuple(OnStale)))


async def ask_freebusy(
    backend: Backend, profile: ProfileView, *, window: Period, query: Mapping[str, str]
) -> FreeBusyAnswer:
    """The answer, with the confirmation that `max_age` asks for. Raises HttpProblem, NotConfirmed."""
    text = query.get("max_age")
    if text is None:
        return answer_at_once(profile, window) or await backend.freebusy(profile.name, window)
    max_age = parse_seconds("max_age", text)
    check_configured(profile)
    return await backend.freebusy(profile.name, window, max_age=max_age)


def check_configured(profile: ProfileView) -> None:
    """Raises HttpProblem for a profile without calendars that block: it is not "all free"."""
    if not profile.freshness.calendars:
        raise HttpProblem(
            "unconfigured",
            409,
            detail=describe_unconfigured(profile.name),
            fix=fix_unconfigured(profile.name),
        )
