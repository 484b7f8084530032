"""Events that a server lists and does not hand out, told before the daemon has to wait for them. Reads only.

iCloud and others have listed such objects for years. Until busyd has asked for them for an hour, it cannot tell them
from events that are merely late, and answers are incomplete.
"""

from collections.abc import Iterable
from typing import Final

from busyd.cli.remote_session import RemoteSession
from busyd.connection import CalendarKind, RemoteCalendar
from busyd.dav.operation import Href, fetch_object, fetch_objects, list_members
from busyd.errors import RemoteError

LOOKED_AT: Final = 500
"""So many objects of a calendar are tried at most, in ten requests."""
_BATCH: Final = 50
_ASKED_SINGLY: Final = 20
WHAT_FOLLOWS: Final = (
    "answers are incomplete for about an hour after the calendar is first read, while busyd waits for them; after that "
    "they are listed as problems. If a calendar app shows them, open them there, and save or delete them; "
    "`busyd problems accept ID` ends the wait"
)


async def count_not_handed_out(session: RemoteSession, calendar: RemoteCalendar) -> int:
    """How many of a calendar's objects are listed and answer 404 to a GET of their own. Raises RemoteError."""
    members = await session.client.run(list_members(calendar.target))
    spelled = {href: members.spelled.get(href, str(href)) for href in list(members.etags)[:LOOKED_AT]}
    paths, missing = list(spelled.values()), list[Href]()
    for at in range(0, len(paths), _BATCH):
        fetched = await session.client.run(fetch_objects(calendar.target, paths[at : at + _BATCH]))
        missing += sorted(fetched.vanished | fetched.missing)
    return sum([await session.client.run(fetch_object(spelled[href])) is None for href in missing[:_ASKED_SINGLY]])


async def describe_not_handed_out(session: RemoteSession, calendars: Iterable[RemoteCalendar]) -> tuple[str, ...]:
    """A sentence for each calendar that has such objects. What cannot be read is not told here."""
    told = []
    for calendar in calendars:
        if calendar.kind not in (CalendarKind.OWN, CalendarKind.SHARED):
            continue
        try:
            count = await count_not_handed_out(session, calendar)
        except RemoteError:
            continue
        if count:
            name = f"{session.connection.name}/{calendar.name or calendar.id}"
            told.append(f"{name}: {sentence_about(count)}: {WHAT_FOLLOWS}")
    return tuple(told)


def sentence_about(count: int) -> str:
    """Without any name."""
    objects = "an event" if count == 1 else f"{count} events"
    return f"its server lists {objects} that it does not hand out (404)"
