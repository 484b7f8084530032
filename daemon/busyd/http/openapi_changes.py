"""The description of the log of changes, and of how to go on in it."""

from typing import Final

from busyd.flow.changes import AppointmentChanged, ConnectionChanged, ProfileReset, SpanChanged
from busyd.http.changes import MOST_IN_PAGE
from busyd.http.openapi_parts import TEXT, parameter

TOLD: Final = (AppointmentChanged, ConnectionChanged, ProfileReset, SpanChanged)
"""What an entry tells, one for each kind of event."""
REPLAY: Final = [
    parameter("last_event_id", "query", schema=TEXT, description="Go on after this entry, as Last-Event-ID"),
    parameter(
        "limit",
        "query",
        schema={"type": "integer", "minimum": 1, "maximum": MOST_IN_PAGE},
        description="Entries per page of JSON: the newest, unless `last_event_id` says where to go on",
    ),
]
