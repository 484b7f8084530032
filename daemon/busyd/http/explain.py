"""`GET /v1/profiles/{profile}/explain`: why a person is busy, or is not.

Shows titles, so it needs the scope `details`.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from busyd.http.facade import House
from busyd.http.freebusy import profile_of, zone_of
from busyd.http.query import parse_window
from busyd.http.response import json_reply
from busyd.http.routes import Call
from busyd.period import FbType, to_rfc3339

if TYPE_CHECKING:
    from busyd.flow.explain import Explained

PARAMETERS: Final = frozenset({"start", "end", "tz"})


class ExplainDoor:
    """Hands on what the journey found."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def get_explain(self, call: Call) -> web.StreamResponse:
        register, now = self._house.register, self._house.clock.now()
        state = profile_of(register, call.value)
        zone = partial(zone_of, register, state)
        window, _ = parse_window(call.query, now=now, zone=zone)
        events = await self._house.explain(state.profile.name, window)
        answer = {
            "profile": state.profile.name,
            "start": to_rfc3339(window.start),
            "end": to_rfc3339(window.end),
            "events": [_view(one) for one in events],
        }
        return await json_reply(answer, call.head)


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
