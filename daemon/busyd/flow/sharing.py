"""What this daemon knows of the others on its database, and how far behind it is with what they write."""

from collections.abc import Sequence

from msgspec import Struct

from busyd.period import Instant


class DaemonView(Struct, frozen=True):
    """A daemon with a session in the database, as it was seen last."""

    name: str
    address: str
    until: Instant
    """When its session ends unless it is renewed."""
    connections: int
    """How many it polls."""
    is_this: bool
    same_configuration: bool | None = None
    """Whether it answers by the same configuration as this one; None where that is not known."""


class SharingView(Struct):
    """The daemons on one database. Kept as it was seen last while the database is away."""

    daemons: Sequence[DaemonView] = ()
    followed_at: float | None = None
    """When all that the others had written was in memory, on the monotonic clock; None before the first time."""
    oldest_write: float = 0.0
    """For how many seconds the oldest transaction that writes the database had run."""
    clock_ahead: int = 0
    """Seconds by which this machine's clock is ahead of the database's, by which everything is dated."""
