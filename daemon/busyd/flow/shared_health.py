"""The health of a connection, as the daemon that polls it tells the others."""

import msgspec
from msgspec import Struct

from busyd.period import Instant
from busyd.state.connection_state import ConnectionState
from busyd.state.state import State


class ConnectionHealth(Struct, frozen=True, omit_defaults=True):
    """What a daemon knows only of the connections that it polls."""

    last_poll: Instant | None = None
    next_poll: Instant | None = None
    trouble: str = ""
    code: str = ""
    since: Instant | None = None
    has_other_password: bool = False
    is_refused: bool = False
    """Whether the login was refused at the last try."""
    calendars: dict[int, str] = {}
    """What went wrong with single calendars."""
    proved: tuple[int, ...] = ()
    """Calendars that the last poll proved; without feeds."""
    reminders: tuple[str, ...] = ()
    requests: int = 0
    refused_rows: tuple[str, ...] = ()
    """Rows of the outbox that the account refuses to take."""


def health_of(state: ConnectionState, *, is_refused: bool, refused_rows: tuple[str, ...] = ()) -> str:
    """As others are told."""
    health = ConnectionHealth(
        state.last_poll,
        state.next_poll,
        state.trouble,
        state.trouble_code,
        state.trouble_since,
        state.has_other_password,
        is_refused,
        dict(state.calendar_trouble),
        state.proved_last,
        state.reminders,
        state.requests,
        refused_rows,
    )
    return msgspec.json.encode(health).decode()


def take_health(state: State, name: str, *, told: str) -> ConnectionHealth:
    """Show what its owner has said of a connection; what that is."""
    health = msgspec.json.decode(told, type=ConnectionHealth, strict=False)
    known = state.connection_state(name)
    known.last_poll, known.next_poll = health.last_poll, health.next_poll
    known.trouble, known.trouble_code, known.trouble_since = health.trouble, health.code, health.since
    known.has_other_password = health.has_other_password
    known.calendar_trouble = health.calendars
    known.proved_last = health.proved
    known.reminders, known.requests = health.reminders, health.requests
    state.publish(connections=(name,))
    return health
