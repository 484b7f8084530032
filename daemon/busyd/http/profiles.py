"""`GET /v1/profiles`: who can be asked about, and how far the answers can be trusted at this moment."""

from busyd.cooperative import apply, in_slices
from busyd.flow.backend import Backend
from busyd.flow.views import ProfileView
from busyd.http import web
from busyd.http.bodies import Profiles, ProfileSummary, time_or_none
from busyd.http.call import Call
from busyd.http.response import long_json_response
from busyd.period import to_rfc3339


class ProfilesHandler:
    """Lists the profiles that the caller may see."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_profiles(self, call: Call) -> web.StreamResponse:
        visible = [view for view in await self._backend.profiles() if call.caller.sees(view.name)]
        now = to_rfc3339(self._backend.clock.now())
        return await long_json_response(Profiles(now, await in_slices(apply(profile_body, visible))), call.head)


def profile_body(view: ProfileView) -> ProfileSummary:
    """One profile, without details."""
    return ProfileSummary(
        name=view.name,
        timezone=view.timezone,
        primary=view.primary,
        conflicts=view.conflicts,
        state=view.state,
        as_of=time_or_none(view.freshness.as_of),
        stale=view.freshness.stale,
    )
