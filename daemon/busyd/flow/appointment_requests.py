"""What is asked of appointments, and the errors that say why it was not done; written blocks raise some of them too."""

from collections.abc import Callable

from msgspec import Struct

from busyd.errors import BusydError, UserError
from busyd.flow.appointment_view import AppointmentView
from busyd.period import Period
from busyd.store.bookings import Details, Guest

__all__ = [
    "AppointmentChanges",
    "ChangeRefused",
    "Details",
    "Guest",
    "HasEnded",
    "HoldExpired",
    "NewAppointment",
    "NoPrimary",
    "NotCurrent",
    "NotSettled",
    "ReadOnlyCalendar",
]


class NewAppointment(Struct, frozen=True):
    """An appointment to be written."""

    span: Period
    details: Details
    overrides: tuple[str, ...] = ()
    hold: str = ""
    """The hold to be used up."""
    invites: bool = False
    """Whether the guests are to be mailed by the server of the calendar."""


class AppointmentChanges(Struct, frozen=True):
    """A move, an edit, or both."""

    span: Callable[[Period], Period] = lambda span: span
    """Makes the new time of the old one. Raises whatever tells the caller what is wrong with it."""
    details: Callable[[Details], Details] = lambda details: details
    overrides: tuple[str, ...] = ()
    is_current: Callable[[AppointmentView], bool] = lambda _: True
    """Whether it is the version that the caller means."""


class NoPrimary(UserError):
    """There is no calendar to write to."""


class ReadOnlyCalendar(UserError):
    """The primary cannot be written to."""


class HoldExpired(BusydError):
    """The hold that was to be used is not in force."""


class HasEnded(BusydError):
    """There is nothing left to be changed."""


class NotSettled(BusydError):
    """What was asked for last is still under way."""


class NotCurrent(BusydError):
    """The appointment is not the one that the caller knows."""


class ChangeRefused(BusydError):
    """A change was not carried out, and everything is as before."""

    def __init__(self) -> None:
        super().__init__("the change was not carried out: somebody else has the new time, or has changed the event")
