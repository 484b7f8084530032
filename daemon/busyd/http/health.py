"""`/healthz`: the process runs. `/readyz`: every profile can be answered for; else 503, with what is missing."""

from aiohttp import web

from busyd.flow.backend import Backend
from busyd.flow.views import ProfileHealth
from busyd.http.bodies import ALIVE, READY
from busyd.http.call import Call
from busyd.http.problem import HttpProblem
from busyd.http.response import json_response


class HealthHandler:
    """For monitoring and load balancers."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_healthz(self, call: Call) -> web.StreamResponse:
        return await json_response(ALIVE, call.head)

    async def get_readyz(self, call: Call) -> web.StreamResponse:
        """Ready once no profile is still loading; one without calendars never is, as none of its time is ever free."""
        loading = [view.name for view in await self._backend.profiles() if view.state is ProfileHealth.LOADING]
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
        return await json_response(READY, call.head)
