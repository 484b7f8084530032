"""What is told of the log of changes, as JSON."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from busyd.http.bodies import Count, Time


class ChangeInAnswer(Struct, frozen=True):
    """An entry of the log of changes: its number, what it is about, and what is told of it."""

    id: Count
    event: Annotated[str, Meta(pattern="^(busy|free|appointment|connection|reset)$")]
    data: msgspec.Raw


class ChangesPage(Struct, frozen=True):
    """Changes that the caller may know of, in order. `last_event_id` is where to go on; with `reset` there were earlier
    changes that can no longer be told.
    """

    changes: list[ChangeInAnswer]
    last_event_id: Count
    reset: bool


class Heartbeat(Struct, frozen=True):
    """The data of the event `heartbeat`: when the calendars of the profiles were last confirmed."""

    as_of: Time | None
    stale: bool
