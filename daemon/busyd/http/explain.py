"""`GET /v1/profiles/{profile}/explain`: why a person is busy, or is not.

Shows titles, so it needs the scope `details`.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from busyd.http.facade import Backend
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.query import parse_window
from busyd.http.response import json_response
from busyd.http.routes import Call
from busyd.period import FbType, to_rfc3339

if TYPE_CHECKING:
    from busyd.flow.explain import Explained

PARAMETERS: Final = frozenset({"start", "end", "tz"})


class ExplainHandler:
    """Hands on what the journey found."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_explain(self, call: Call) -> web.StreamResponse:
        state, now = self._backend.state, self._backend.clock.now()
        profile_state = profile_of(state, call.value)
        zone = partial(zone_of, state, profile_state)
        window, _ = parse_window(call.query, now=now, zone=zone)
        events = await self._backend.explain(profile_state.profile.name, window)
        answer = {
            "profile": profile_state.profile.name,
            "start": to_rfc3339(window.start),
            "end": to_rfc3339(window.end),
            "events": [_view(one) for one in events],
        }
        return await json_response(answer, call.head)


def _view(one: "Explained") -> dict[str, Any]:
    return {
        "calendar": one.calendar,
        "uid": one.uid,
        "href": one.href,
        "summary": one.summary,
        "location": one.location,
        "start": to_rfc3339(one.start),
        "end": to_rfc3339(one.end),
        "type": one.fbtype.text,
        "blocks": one.fbtype is not FbType.FREE,
        "reason": one.reason,
        "rule": one.rule or None,
        "origin": one.origin or None,
    }
