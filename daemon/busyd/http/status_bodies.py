"""The state of everything, as JSON."""

from msgspec import UNSET, Struct, UnsetType

from busyd.flow.appointment_view import AppointmentState
from busyd.flow.views import ProblemView
from busyd.flow.webhook_views import WebhookState
from busyd.http.bodies import ConnectionStatus, Count, ProfileStatus, Time


class UnsettledAppointment(Struct, frozen=True):
    """An appointment that needs a person, or is not settled for more than a minute, and what to do about it."""

    profile: str
    appointment: str
    start: Time
    end: Time
    state: AppointmentState
    reason: str
    created: Time
    detail: str
    fix: str


class WebhookStatus(Struct, frozen=True):
    """A webhook, how it is doing, and what to do where it is not well; `behind` counts the entries of the log since the
    last one that it was told, or need not be.
    """

    id: str
    profile: str
    host: str
    events: list[str]
    state: WebhookState
    detail: str
    fix: str
    since: Time | None
    attempts: Count
    next_attempt: Time | None
    delivered: Time | None
    behind: Count


class DaemonStatus(Struct, frozen=True):
    """A daemon with a session in the database; `until` is when that ends unless it is renewed, as every daemon does
    every ten seconds, and `connections` how many it polls. `this` is the one that answers.
    """

    name: str
    address: str
    until: Time
    connections: Count
    this: bool
    same_configuration: bool | None
    """As this daemon: else answers may depend on which one is asked. Null while it is not known."""


class Sharing(Struct, frozen=True):
    """The daemons on one database. `behind` is how many seconds ago all that the others had written was in the memory
    of this one, null before the first time; `oldest_write` for how many seconds the oldest transaction that writes the
    database has run; `clock_ahead` by how many seconds the clock of this machine is ahead of the database's.
    """

    daemons: list[DaemonStatus]
    behind: Count | None
    oldest_write: Count
    clock_ahead: int


class StorageStatus(Struct, frozen=True):
    """How something could not be stored lately, or what is stored not be read, and what to do about it."""

    last: Time
    detail: str
    fix: str


class Status(Struct, frozen=True):
    """The state of everything that the caller may see. `configuration` is there when the last reload was refused;
    `warnings` are sentences about what is configured and does not do what its owner may think, as a misspelt calendar.
    `webhooks` is empty without the scope `admin`. `sharing` is there when several daemons may share the stores, for an
    `admin` of all profiles, and so is `storage` when something could not be stored in the last minutes.
    """

    version: str
    now: Time
    profiles: list[ProfileStatus]
    connections: list[ConnectionStatus]
    problems: list[ProblemView]
    warnings: list[str]
    appointments: list[UnsettledAppointment]
    webhooks: list[WebhookStatus]
    configuration: str | UnsetType = UNSET
    sharing: Sharing | UnsetType = UNSET
    storage: StorageStatus | UnsetType = UNSET
