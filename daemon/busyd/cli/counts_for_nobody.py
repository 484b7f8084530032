"""Connected calendars with many busy times ahead that no profile counts: what a person forgot, or gave another name.

As the daemon tells it after it has looked at them (`flow/uncounted.py`), for a command that asks the servers itself.
"""

from collections.abc import Collection, Iterable

from busyd.advice.trouble import describe_uncounted
from busyd.availability.busy import busy_periods
from busyd.availability.policy import Rules
from busyd.cli.remote_session import RemoteSession
from busyd.connection import CalendarKind, RemoteCalendar
from busyd.errors import RemoteError
from busyd.flow.uncounted import fetch_within, look_window
from busyd.ical.zones import UnknownZone
from busyd.period import Period
from busyd.state.uncounted import MANY


async def describe_all_uncounted(
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
            count = await count_ahead(session, calendar, zone=zone)
        except (RemoteError, UnknownZone):
            continue
        if count >= MANY:
            told.append(f"{session.connection.name}/{calendar.name or calendar.id}: {describe_uncounted(count)}")
    return tuple(told)


async def count_ahead(session: RemoteSession, calendar: RemoteCalendar, *, zone: str) -> int:
    """How many busy times are ahead in a calendar. Raises RemoteError, UnknownZone."""
    now = session.clock.now()
    window = Period(now, look_window(now).end)
    payloads = await fetch_within(session.client, calendar, window=window)
    addresses = [session.connection.username] if session.connection.username else []
    busy = busy_periods(payloads, window, zone=zone, rules=Rules(), addresses=addresses, availability=None)
    return len(busy.periods)
