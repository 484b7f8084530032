"""How far a poll has come, as a value that goes to whoever waits for it."""

from collections.abc import Callable

from msgspec import Struct


class Progress(Struct, frozen=True):
    """How far a poll has come, for whoever waits for it."""

    connection: str
    calendar: str
    phase: str
    """discovering, listing, fetching, done or failed."""
    done: int = 0
    total: int = 0
    detail: str = ""


Report = Callable[[Progress], None]
