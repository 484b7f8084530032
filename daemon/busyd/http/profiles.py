"""`GET /v1/profiles`: who can be asked about, and how far the answers can be trusted at this moment."""

from typing import Any

from aiohttp import web

from busyd.flow.ask import Standing
from busyd.http.facade import House
from busyd.http.freebusy import zone_of
from busyd.http.freshness import Standings, word_for
from busyd.http.response import json_reply
from busyd.http.routes import Call
from busyd.state.state import ProfileState


class ProfilesDoor:
    """Lists the profiles that the caller may see."""

    def __init__(self, house: House, standings: Standings) -> None:
        self._house = house
        self._standings = standings

    async def get_profiles(self, call: Call) -> web.StreamResponse:
        seen = [state for name, state in self._house.register.profiles.items() if call.caller.sees(name)]
        return await json_reply({"profiles": [self.view(state) for state in seen]}, call.head)

    def standing_of(self, state: ProfileState) -> Standing:
        """How far the profile's answers can be trusted now."""
        return self._standings.of(self._house.register, state, self._house.clock.now()).standing

    def view(self, state: ProfileState) -> dict[str, Any]:
        """One profile, without details."""
        register, profile = self._house.register, state.profile
        judged = self._standings.of(register, state, self._house.clock.now())
        return {
            "name": profile.name,
            "timezone": zone_of(register, state).key,
            "primary": str(profile.primary) if profile.primary is not None else None,
            "conflicts": [str(reference) for reference in profile.conflicts],
            "state": word_for(judged),
            "as_of": judged.as_of or None,
            "stale": judged.standing.stale,
        }
