"""`GET /v1/profiles/{profile}/history`: since when is a moment busy or free, by what, and what was it before?"""

from collections.abc import Iterator
from datetime import date
from itertools import pairwise
from typing import Final, cast

import msgspec
from msgspec.structs import replace

from busyd.availability.hours import Hours
from busyd.flow.ask import FreeBusyAnswer
from busyd.flow.backend import Backend
from busyd.flow.changes import Viewer
from busyd.flow.history import Past, PastChange, PastEvent
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.bodies import CountsAs, time_or_none
from busyd.http.call import Call
from busyd.http.explain import explained
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.history_bodies import (
    HistoryAnswer,
    HistoryChange,
    HistoryEvent,
    HistoryOrigin,
    HistoryRow,
    HoursChange,
)
from busyd.http.problem import bad_request
from busyd.http.query import parse_time, parse_zone
from busyd.http.response import json_response
from busyd.ical.zones import reading_zone
from busyd.period import LATEST, FbType, Instant, Period, to_rfc3339

PARAMETERS: Final = frozenset({"at", "tz"})
_FIRST_DAY: Final = date(1970, 1, 1).toordinal()


class HistoryHandler:
    """Tells the past of moments, as far as the log of changes reaches."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_history(self, call: Call) -> web.StreamResponse:
        """What is known of a moment now, and what changed. Raises HttpProblem."""
        backend, caller = self._backend, call.caller
        profile, now = profile_of(backend, call), backend.clock.now()
        named = parse_zone(call.query["tz"]) if "tz" in call.query else None
        at = parse_time("at", call.query.get("at", "now"), now=now, zone=lambda: named or zone_of(profile)).instant
        if at >= LATEST:
            raise bad_request("at= lies too far ahead", fix="ask about an earlier moment", name="bad-window")
        window = Period(at, Instant(at + 1))
        details = caller.may("details")
        viewer = Viewer(
            frozenset({profile.name}),
            busy_time=True,
            connections=details or caller.may("admin"),
            appointments=details or caller.may("admin"),
            token=caller.token.id if caller.token is not None and caller.may("book") else "",
        )
        past = await backend.changes.history.look_back(profile.name, at, viewer=viewer, now=now)
        answer = await backend.freebusy(profile.name, window)
        known_as = _type_of(answer)
        if past.became not in (None, known_as):
            # The log is a moment behind: what has changed just now is not told yet.
            past = replace(past, known_since=now, since=None)
        body = HistoryAnswer(
            profile=profile.name,
            at=to_rfc3339(at),
            now=to_rfc3339(now),
            type=known_as,
            as_of=time_or_none(answer.freshness.as_of),
            stale=answer.freshness.stale,
            complete=answer.complete,
            within_hours=_is_within(profile.hours, profile.timezone, at=at),
            hours_changes=list(_hours_changes(past, profile, at=at)),
            since=time_or_none(past.since),
            known_since=time_or_none(past.known_since),
            events=[explained(event) for event in await backend.explain(profile.name, window)] if details else None,
            changes=[_change(change, details=details) for change in past.changes],
            truncated=past.truncated,
        )
        return await json_response(body, call.head)


def _type_of(answer: FreeBusyAnswer) -> CountsAs:
    """The free/busy type of the moment; what may not be free is not called free."""
    otherwise = FbType.FREE if answer.complete else FbType.BUSY_UNAVAILABLE
    return cast(CountsAs, next((period.fbtype for period in answer.busy), otherwise).text)


def _hours_changes(past: Past, profile: ProfileView, *, at: Instant) -> Iterator[HoursChange]:
    """When the working hours came to be others, as far as that makes a difference to a moment."""
    known = [(since, _is_within(hours, zone or profile.timezone, at=at)) for since, zone, hours in past.hours]
    for (_, before), (since, within) in pairwise(known):
        if before is not within:
            yield HoursChange(to_rfc3339(since), within_hours=within, before=before)


def _is_within(hours: Hours | None, zone: str, *, at: Instant) -> bool | None:
    """Whether slots may be offered then; None without working hours."""
    if hours is None:
        return None
    day, seconds = divmod(reading_zone(zone).wall(at), 86_400)
    spans = hours.on(date.fromordinal(day + _FIRST_DAY))
    return any(start * 60 <= seconds < end * 60 for start, end in spans)


def _change(change: PastChange, *, details: bool) -> HistoryChange:
    origin = change.origin
    confirmed = origin.confirmed if origin is not None else {}
    shown = None
    if origin is not None and details:
        shown = HistoryOrigin(
            events=[_event(event) for event in change.events],
            more=origin.more,
            own=[HistoryRow(row.kind, row.id) for row in origin.own],
            counts=list(origin.counts),
            counts_no_longer=list(origin.counts_no_longer),
            other_rules=list(origin.other_rules),
        )
    return HistoryChange(
        id=change.number,
        at=to_rfc3339(change.at),
        event=change.event,
        data=msgspec.Raw(change.body),
        confirmed_before={calendar: to_rfc3339(at) for calendar, at in confirmed.items()},
        origin=shown,
    )


def _event(event: PastEvent) -> HistoryEvent:
    origin = event.origin
    return HistoryEvent(
        calendar=origin.calendar,
        uid=origin.uid,
        href=origin.href,
        summary=event.summary,
        what=origin.what,
        created=time_or_none(origin.created),
        last_modified=time_or_none(origin.modified),
    )
