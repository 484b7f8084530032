"""The working hours of profiles as text for apps that show them, remembered while they are the same."""

import asyncio
from datetime import UTC, datetime

from busyd.availability.hours import Hours
from busyd.clock import Clock
from busyd.flow.views import ProfileView


class WorkingHours:
    """Those of all profiles."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, tuple[Hours, str, int, str]] = {}

    async def of(self, profile: ProfileView) -> str:
        """A VCALENDAR with a VAVAILABILITY (RFC 7953); empty for a profile without hours."""
        hours, zone, now = profile.hours, profile.timezone, self._clock.now()
        if hours is None:
            return ""
        key = (hours, zone, datetime.fromtimestamp(now, UTC).year)
        made = self._made.get(profile.name)
        if made is None or made[:3] != key:
            text = await asyncio.to_thread(_compose, hours, zone, profile.name, now)
            made = self._made[profile.name] = (*key, text)
        return made[3]


def _compose(hours: Hours, zone: str, name: str, now: int) -> str:  # noqa: PLR0917 - arguments of to_thread
    from busyd.flow.compose_hours import availability_of

    return availability_of(hours, zone=zone, name=name, now=now).decode()
