"""Connected calendars with many busy times ahead that no profile counts: what a person forgot, or gave another name.

Reads only, and only for a command that asks the servers anyway: the daemon does not read what nobody counts.
"""

from collections.abc import Collection, Iterable
from typing import Final

from busyd.availability.busy import busy_periods
from busyd.availability.policy import Rules
from busyd.cli.remote_session import RemoteSession
from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav.operation import fetch_objects, list_members
from busyd.errors import RemoteError
from busyd.ical.zones import UnknownZone
from busyd.period import Instant, Period

MANY: Final = 5
"""So many busy times ahead are worth a word."""
_AHEAD: Final = 90 * 86_400
_LOOKED_AT: Final = 500
_BATCH: Final = 50


async def describe_uncounted(
    session: RemoteSession, calendars: Iterable[RemoteCalendar], *, counted: Collection[str], zone: str
) -> tuple[str, ...]:
    """A sentence for each calendar that is not among the hrefs `counted`, is opaque, and has much ahead.

    What cannot be read is not told here.
    """
    told = []
    for calendar in calendars:
        is_candidate = calendar.kind in (CalendarKind.OWN, CalendarKind.SHARED) and not calendar.transparent
        if not is_candidate or calendar.href in counted:
            continue
        try:
            count = await _count_ahead(session, calendar, zone=zone)
        except (RemoteError, UnknownZone):
            continue
        if count >= MANY:
            name = f"{session.connection.name}/{calendar.name or calendar.id}"
            told.append(
                f"{name} has {count} busy times in the next 90 days, and is in no profile, so none of them blocks: "
                "add it to `conflicts`, or mark it as not affecting availability where it is"
            )
    return tuple(told)


async def _count_ahead(session: RemoteSession, calendar: RemoteCalendar, *, zone: str) -> int:
    members = await session.client.run(list_members(calendar.target))
    paths = [members.spelled.get(href, str(href)) for href in list(members.etags)[-_LOOKED_AT:]]
    payloads: list[bytes] = []
    for at in range(0, len(paths), _BATCH):
        fetched = await session.client.run(fetch_objects(calendar.target, paths[at : at + _BATCH]))
        payloads += [one.payload for one in fetched.objects]
    now = session.clock.now()
    window = Period(now, Instant(now + _AHEAD))
    addresses = [session.connection.username] if session.connection.username else []
    busy = busy_periods(payloads, window, zone=zone, rules=Rules(), addresses=addresses, availability=None)
    return len(busy.periods)
