"""What is known of one connection: how its polls go, and why they fail."""

from msgspec import Struct, field

from busyd.clock import Now
from busyd.connection import CalendarKind, Connection
from busyd.durations import SLOW, Durations
from busyd.period import Instant
from busyd.store.mirror import CalendarRecord


class ConnectionState(Struct):
    """The state of one connection."""

    connection: Connection
    addresses: tuple[str, ...] = ()
    listed: bool = False
    """Whether its calendars were ever listed."""
    partial: str = ""
    """Why it may have calendars that its last listing did not show; empty when it showed all."""
    reminders: tuple[str, ...] = ()
    """The names of its reminders lists, as last listed since the start."""
    last_poll: Instant | None = None
    """When a poll last succeeded."""
    next_poll: Instant | None = None
    trouble: str = ""
    """What went wrong at the last poll and what to do; empty when it went well."""
    trouble_code: str = ""
    """The same for programs, as `Diagnosis.code`; empty when it went well."""
    has_other_password: bool = False
    """Its password is not an app-specific one, so it is not sent to Apple, and nothing is asked."""
    trouble_since: Instant | None = None
    asked: Now | None = None
    """When the present poll, or the last one, began to ask: what it proves is as old as that."""
    proved: dict[int, float] = field(default_factory=dict)
    """Calendar -> when the poll began to ask by which it was proved last (monotonic)."""
    proved_last: tuple[int, ...] = ()
    """The calendars that the last poll proved; without feeds."""
    login_accepted: bool = False
    """Whether the present poll, or the last one, got an answer with its credentials."""
    wanted: Instant | None = None
    """Somebody waits for a proof at least as young as this, of subscribed calendars too."""
    thorough: bool = False
    """Somebody wants feeds read as a whole, also those for which "not modified" would do otherwise."""
    requests: int = 0
    polls: Durations = field(default_factory=lambda: Durations(SLOW))
    """How long polls took, since the start."""
    owner: str = ""
    """The daemon that polls it, where several share that; empty while none does, and where there is only this one."""
    calendar_trouble: dict[int, str] = field(default_factory=dict)
    """What went wrong with single calendars while the others were read."""

    def is_same_account(self, connection: Connection) -> bool:
        """Whether what is known of this connection holds for another way to write it down."""
        own = self.connection
        return (own.kind, own.url, own.username) == (connection.kind, connection.url, connection.username)

    def owns(self, record: CalendarRecord) -> bool:
        """Whether a calendar is of this connection as it is configured now; a feed's address may have changed."""
        return record.remote.kind is not CalendarKind.FEED or record.remote.href == self.connection.url
