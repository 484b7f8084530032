"""`GET /v1/profiles/{profile}/explain`: why a person is busy, or is not. Shows titles, so it needs scope `details`."""

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from msgspec import UNSET

from busyd.advice.reasons import describe_reason
from busyd.advice.trouble import describe_elsewhere
from busyd.advice.unconfigured import describe_unconfigured, fix_unconfigured
from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.auth import Caller
from busyd.http.bodies import CountsAs, ElsewhereInAnswer, ExplainedEvent, Explanation, Slot
from busyd.http.call import Call
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.query import parse_window
from busyd.http.response import json_response
from busyd.http.status import visible_calendars, visible_connections
from busyd.period import FbType, Period, to_rfc3339

if TYPE_CHECKING:
    from busyd.flow.explain import Explained

PARAMETERS: Final = frozenset({"start", "end", "tz"})


class ExplainHandler:
    """Shows every event that touches a window."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_explain(self, call: Call) -> web.StreamResponse:
        profile = profile_of(self._backend, call)
        window, _ = parse_window(call.query, now=self._backend.clock.now(), zone=partial(zone_of, profile))
        explanation = Explanation(
            profile=profile.name,
            start=to_rfc3339(window.start),
            end=to_rfc3339(window.end),
            events=[explained(event) for event in await self._backend.explain(profile.name, window)],
            elsewhere=await self._elsewhere(call.caller, profile=profile.name, window=window),
            detail=UNSET if profile.freshness.calendars else _describe(profile.name),
        )
        return await json_response(explanation, call.head)

    async def _elsewhere(self, caller: Caller, *, profile: str, window: Period) -> list[ElsewhereInAnswer]:
        """Of the calendars that the caller may know of by `/v1/status` too."""
        connections = await visible_connections(self._backend, caller, profile=profile)
        labels = {view.label for connection in connections for view in visible_calendars(connection, caller)}
        found = await self._backend.uncounted.spans_of(profile, window, calendars=labels)
        return [
            ElsewhereInAnswer(
                calendar=label,
                periods=[Slot(to_rfc3339(start), to_rfc3339(end)) for start, end in spans],
                explanation=describe_elsewhere(label, profile),
            )
            for label, spans in found.items()
        ]


def _describe(profile: str) -> str:
    return f"{describe_unconfigured(profile)}; {fix_unconfigured(profile)}"


def explained(event: "Explained") -> ExplainedEvent:
    """An event as it goes out."""
    return ExplainedEvent(
        calendar=event.calendar,
        uid=event.uid,
        href=event.href,
        summary=event.summary,
        location=event.location,
        start=to_rfc3339(event.start),
        end=to_rfc3339(event.end),
        type=cast(CountsAs, event.fbtype.text),
        blocks=event.fbtype is not FbType.FREE,
        reason=event.reason,
        rule=event.rule or None,
        origin=event.origin or None,
        explanation=describe_reason(event.reason, rule=event.rule, origin=event.origin),
        notes=event.notes,
    )
