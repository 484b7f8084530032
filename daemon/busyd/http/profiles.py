"""`GET /v1/profiles`: who can be asked about, and how far the answers can be trusted at this moment."""

from typing import Any

from aiohttp import web

from busyd.flow.ask import Freshness
from busyd.http.facade import Backend
from busyd.http.freebusy import zone_of
from busyd.http.freshness import FreshnessCache, word_for
from busyd.http.response import json_response
from busyd.http.routes import Call
from busyd.state.state import ProfileState


class ProfilesHandler:
    """Lists the profiles that the caller may see."""

    def __init__(self, backend: Backend, freshness_cache: FreshnessCache) -> None:
        self._backend = backend
        self._standings = freshness_cache

    async def get_profiles(self, call: Call) -> web.StreamResponse:
        seen = [profile_state for name, profile_state in self._backend.state.profiles.items() if call.caller.sees(name)]
        return await json_response({"profiles": [self.view(profile_state) for profile_state in seen]}, call.head)

    def freshness_of(self, profile_state: ProfileState) -> Freshness:
        """How far the profile's answers can be trusted now."""
        return self._standings.of(self._backend.state, profile_state, self._backend.clock.now()).freshness

    def view(self, profile_state: ProfileState) -> dict[str, Any]:
        """One profile, without details."""
        state, profile = self._backend.state, profile_state.profile
        rendered = self._standings.of(state, profile_state, self._backend.clock.now())
        return {
            "name": profile.name,
            "timezone": zone_of(state, profile_state).name,
            "primary": str(profile.primary) if profile.primary is not None else None,
            "conflicts": [str(reference) for reference in profile.conflicts],
            "state": word_for(rendered),
            "as_of": rendered.as_of or None,
            "stale": rendered.freshness.stale,
        }
