"""`/healthz`: the process runs. `/readyz`: profiles can be answered for; else 503, with what is missing."""

from typing import Final

from msgspec import UNSET

from busyd.flow.backend import Backend
from busyd.flow.views import ProfileHealth, ProfileView
from busyd.http import web
from busyd.http.bodies import ALIVE, Health, UnableProfile
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.response import json_response

_UNABLE: Final = (ProfileHealth.INCOMPLETE, ProfileHealth.UNCONFIGURED)
"""Nothing of them is ever free."""


class HealthHandler:
    """For monitoring and load balancers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._has_been_ready = False

    async def get_healthz(self, call: Call) -> web.StreamResponse:
        return await json_response(ALIVE, call.head)

    async def get_readyz(self, call: Call) -> web.StreamResponse:
        """Ready once no profile is still loading. Those of which nothing can be proved to be free are named; when it is
        so of all, busyd is not ready. What a reload adds later is read while the others are answered for.
        """
        views = await self._backend.profiles()
        loading = [view.name for view in views if self._is_loading(view)]
        if loading:
            visible = [name for name in loading if call.caller.sees(name)]
            which = f"of {', '.join(sorted(visible))} " if visible else ""
            raise HttpProblem(
                "not-ready",
                503,
                detail=f"the calendars {which}are being read for the first time",
                fix="GET /v1/status shows the progress, and whether a connection is in trouble",
                headers={"Retry-After": "5"},
            )
        unable = [view for view in views if view.state in _UNABLE]
        seen = [UnableProfile(view.name, view.state) for view in unable if call.caller.sees(view.name)]
        if unable and len(unable) == len(views):
            names = ", ".join(f"{one.profile} ({one.state})" for one in seen)
            raise HttpProblem(
                "not-ready",
                503,
                detail=f"no profile can be answered for{': ' if names else ''}{names}",
                fix="GET /v1/status says why, and what to do",
                headers={"Retry-After": "60"},
            )
        self._has_been_ready = True
        return await json_response(Health("ready", cannot_answer=seen or UNSET), call.head)

    def _is_loading(self, view: ProfileView) -> bool:
        is_first_read = view.freshness.is_pending and not self._has_been_ready
        return view.state is ProfileHealth.LOADING or is_first_read
