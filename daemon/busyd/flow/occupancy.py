"""Who has time when, seen from one row of the outbox: everybody else's events and rows, without its own."""

from collections.abc import Collection
from typing import Final

from busyd.flow.explain import explain_calendars
from busyd.index.writer import IndexWriter
from busyd.period import FbType, Period, Span, clip, flatten
from busyd.state.profile_state import ProfileState

_NOT_UNDERSTOOD: Final = "unreadable"
_UNPLACED: Final = frozenset({_NOT_UNDERSTOOD, "never-read", "too-much"})
"""Reasons that say of no event when it is."""


async def others_busy(
    writer: IndexWriter,
    profile_state: ProfileState,
    *,
    window: Period,
    uids: Collection[str],
    rows: Collection[str] | None,
) -> list[Span]:
    """The busy spans of a window, in their canonical form, without the events of these UIDs and the rows of these ids.

    `rows` None: without any row of busyd's own, which the database keeps apart. All of the window where an event may be
    at any time in it.
    """
    events = await explain_calendars(writer, profile_state, window=window)
    spans = [
        (int(event.start), int(event.end), int(event.fbtype))
        for event in events
        if event.fbtype is not FbType.FREE and event.uid not in uids
    ]
    if any(event.reason == _NOT_UNDERSTOOD and event.uid not in uids for event in events):
        spans.append((window.start, window.end, int(FbType.BUSY_UNAVAILABLE)))
    own = writer.state.own.of(profile_state.profile.name, profile_state.links) if rows is not None else []
    for row in own:
        if rows is not None and row.id not in rows and row.parent not in rows:
            spans += [(int(span.start), int(span.end), row.fbtype) for span in row.spans]
    return flatten(clip(spans, window))


async def is_overlapped(
    writer: IndexWriter, profile_state: ProfileState, *, window: Period, uids: Collection[str]
) -> bool:
    """Whether an event other than those of these UIDs takes time of the window; not for what may be at any time."""
    events = await explain_calendars(writer, profile_state, window=window)
    return any(
        event.fbtype is not FbType.FREE
        and event.uid not in uids
        and event.reason not in _UNPLACED
        and event.start < window.end
        and window.start < event.end
        for event in events
    )
