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


class Status(Struct, frozen=True):
    """The state of everything that the caller may see. `configuration` is there when the last reload was refused;
    `warnings` are sentences about what is configured and does not do what its owner may think, as a misspelt calendar.
    `webhooks` is empty without the scope `admin`.
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
