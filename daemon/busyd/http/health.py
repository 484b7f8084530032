"""`/healthz`: the process runs. `/readyz`: every profile can be answered for; else 503, with what is missing."""

from aiohttp import web

from busyd.http.facade import Backend
from busyd.http.freshness import FreshnessCache, word_for
from busyd.http.problem import HttpProblem
from busyd.http.response import json_response
from busyd.http.routes import Call
from busyd.state.state import ProfileState


class HealthHandler:
    """For those who watch over the process, and those who send it requests."""

    def __init__(self, backend: Backend, freshness_cache: FreshnessCache) -> None:
        self._backend = backend
        self._standings = freshness_cache

    async def get_healthz(self, call: Call) -> web.StreamResponse:
        return await json_response({"status": "alive"}, call.head)

    async def get_readyz(self, call: Call) -> web.StreamResponse:
        """Ready once each profile has a snapshot; one without calendars needs none, as nothing is ever free in it."""
        profiles = self._backend.state.profiles
        missing = [name for name, profile_state in profiles.items() if not self._is_ready(profile_state)]
        if missing:
            seen = [name for name in missing if call.caller.sees(name)]
            which = f"of {', '.join(sorted(seen))} " if seen else ""
            raise HttpProblem(
                "not-ready",
                503,
                f"the calendars {which}are being read for the first time",
                fix="GET /v1/status says how far it is, and whether a connection is in trouble",
                headers={"Retry-After": "5"},
            )
        return await json_response({"status": "ready"}, call.head)

    def _is_ready(self, profile_state: ProfileState) -> bool:
        rendered = self._standings.of(self._backend.state, profile_state, self._backend.clock.now())
        return profile_state.snapshot is not None or word_for(rendered) == "unconfigured"
