"""Look back: since when is a moment busy or free, by what, and what was it before? As far as the log reaches.

The log tells what busyd has noticed. What it did not tell then is not known: nothing is inferred for the time before.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from busyd.availability.hours import Hours
from busyd.ical.title import title_of
from busyd.period import Instant
from busyd.state.horizon import followed_since, horizon_at
from busyd.state.state import State
from busyd.store.change_log import ChangeLog
from busyd.store.changes import ChangeEntry, ChangeEvent, ChangeOrigin, EventOrigin
from busyd.store.store import Store

if TYPE_CHECKING:
    from busyd.flow.changes import Viewer

MOST_CHANGES: Final = 500
"""Changes that are told of one moment, the last ones."""
_HOURS: Final = msgspec.json.Decoder(tuple[str | None, Hours | None])
_OF_A_SPAN: Final = (ChangeEvent.BUSY, ChangeEvent.FREE)


class PastEvent(Struct, frozen=True):
    """An event that made a moment busy or free."""

    origin: EventOrigin
    summary: str | None
    """Its title now; None when the mirror no longer has the event, or never had its title."""


class PastChange(Struct, frozen=True):
    """A change that concerned a moment."""

    number: int
    event: str
    body: bytes
    """One line of JSON."""
    at: Instant
    """When busyd noticed it."""
    origin: ChangeOrigin | None
    """None where that is not known, and for what is not about busy time."""
    events: tuple[PastEvent, ...]


class Past(Struct, frozen=True):
    """What the log knows of a moment."""

    known_since: Instant | None
    """Nothing is known of the moment before; None when the log does not follow it."""
    since: Instant | None
    """When busyd noticed what became of the moment last; None when nothing has changed since `known_since`."""
    became: str | None
    """The type that it has since then; None with `since`."""
    changes: Sequence[PastChange]
    """In order."""
    hours: Sequence[tuple[Instant, str | None, Hours | None]]
    """The working hours that the profile had, in order: since when, in which zone if one was named, and which."""
    truncated: bool
    """Whether there are earlier changes that are kept, too."""


class History:
    """The past of moments, for those who may know of it."""

    def __init__(self, log: ChangeLog, state: State, *, store: Store) -> None:
        self._log, self._state, self._store = log, state, store

    async def look_back(self, profile: str, moment: Instant, *, viewer: "Viewer", now: Instant) -> Past:
        """What the log tells about a moment. Raises StorageError."""
        entries = await self._log.entries_touching(profile, moment, most=MOST_CHANGES + 1)
        horizon = horizon_at(now)
        known = await self._log.known_since(profile)
        if known is not None:
            known = max(known, followed_since(moment)) if horizon.start <= moment < horizon.end else None
        truncated = len(entries) > MOST_CHANGES
        entries = entries[-MOST_CHANGES:]
        last: ChangeEntry | None = None
        for entry in entries:
            if entry.change.event in _OF_A_SPAN:
                last = entry
            elif entry.change.event is ChangeEvent.RESET:
                last, known = None, max(known, entry.at) if known is not None else None
        if truncated and last is None and known is not None:
            known = max(known, entries[0].at)  # what is not read may have made the moment another one
        visible = [entry for entry in entries if viewer.sees(entry)]
        return Past(
            known_since=known,
            since=last.at if last is not None else None,
            became=msgspec.json.decode(last.change.body, type=_Became).type if last is not None else None,
            changes=await self._with_titles(visible),
            hours=[(at, *_HOURS.decode(text)) for at, text in await self._log.read_hours(profile)],
            truncated=truncated,
        )

    async def _with_titles(self, entries: Iterable[ChangeEntry]) -> list[PastChange]:
        origins = [
            (entry, msgspec.json.decode(entry.change.origin, type=ChangeOrigin) if entry.change.origin else None)
            for entry in entries
        ]
        titles = await self._titles(event for _, origin in origins if origin is not None for event in origin.events)
        return [
            PastChange(
                entry.number,
                entry.change.event.value,
                entry.change.body,
                entry.at,
                origin,
                tuple(PastEvent(one, titles.get((one.href, one.uid))) for one in (origin.events if origin else ())),
            )
            for entry, origin in origins
        ]

    async def _titles(self, events: Iterable[EventOrigin]) -> Mapping[tuple[str, str], str]:
        """The titles of the events that the mirror still has under the same href and UID."""
        ids = {record.remote.href: number for number, record in self._state.calendars.items()}
        wanted: dict[int, set[str]] = {}
        for event in events:
            if event.collection in ids:
                wanted.setdefault(ids[event.collection], set()).add(event.href)
        titles = {}
        for calendar, hrefs in wanted.items():
            for href, stored in (await self._store.read_payloads(calendar, hrefs)).items():
                if summary := title_of(stored.payload).summary:
                    titles[href, stored.uid] = summary
        return titles


class _Became(Struct):
    type: str
