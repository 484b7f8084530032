"""What is asked of appointments and told of them, as JSON."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import replace

from busyd.availability.hours import AppointmentDefaults
from busyd.flow.appointment_requests import Details, Guest
from busyd.flow.appointment_view import AppointmentState, AppointmentView
from busyd.http.blocks import MAX_TEXT, Text
from busyd.http.bodies import Time
from busyd.http.idempotency import invalid
from busyd.http.span_fields import Moment, read_duration
from busyd.period import Instant, to_rfc3339
from busyd.timetext import write_duration

MAX_DESCRIPTION: Final = 20_000
MAX_URL: Final = 2000
MAX_GUESTS: Final = 100
MAX_REMINDERS: Final = 10
MAX_METADATA: Final = 50
LONGEST_REMINDER: Final = 28 * 86_400
"""Seconds before the start."""
CLASSES: Final = ("public", "private", "confidential")
_ADDRESS: Final = re.compile(r"[!-?A-~]+@[!-?A-~]+")

Length = Annotated[str, Meta(max_length=32)]
Reminders = Annotated[list[Length], Meta(max_length=MAX_REMINDERS)]
Metadata = Annotated[dict[Annotated[str, Meta(max_length=100)], Text], Meta(max_length=MAX_METADATA)]
OverrideName = Literal["hours", "notice", "window", "grid", "limits", "busy"]
Class = Literal["public", "private", "confidential"]


class GuestInBody(Struct, forbid_unknown_fields=True):
    """Somebody who is to come."""

    email: Annotated[str, Meta(max_length=254)]
    name: Annotated[str, Meta(max_length=200)] = ""


Guests = Annotated[list[GuestInBody], Meta(max_length=MAX_GUESTS)]


class NewAppointmentBody(Struct, forbid_unknown_fields=True):
    """An appointment to be written: as long as `duration` says, or until `end`, or as long as slots are."""

    start: Moment
    summary: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)]
    duration: Length | UnsetType = UNSET
    end: Moment | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=MAX_DESCRIPTION)] = ""
    location: Text = ""
    url: Annotated[str, Meta(max_length=MAX_URL)] = ""
    guests: Guests = []
    invite: Literal["none", "server"] | UnsetType = UNSET
    reminders: Reminders | UnsetType = UNSET
    class_: Class | UnsetType = msgspec.field(name="class", default=UNSET)
    tentative: bool = False
    metadata: Metadata = {}
    hold: Annotated[str, Meta(max_length=64)] = ""
    override: list[OverrideName] = []


class ChangedAppointmentBody(Struct, forbid_unknown_fields=True):
    """What is to be another in an appointment."""

    start: Moment | UnsetType = UNSET
    duration: Length | UnsetType = UNSET
    end: Moment | UnsetType = UNSET
    summary: Annotated[str, Meta(min_length=1, max_length=MAX_TEXT)] | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=MAX_DESCRIPTION)] | UnsetType = UNSET
    location: Text | UnsetType = UNSET
    url: Annotated[str, Meta(max_length=MAX_URL)] | UnsetType = UNSET
    reminders: Reminders | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    override: list[OverrideName] = []


class GuestInAnswer(Struct, frozen=True):
    """Somebody who is to come."""

    email: str
    name: str


class ProofInAnswer(Struct, frozen=True):
    """When each calendar that counts was confirmed, before the event was written and after."""

    before: dict[str, Time]
    after: dict[str, Time]


class Appointment(Struct, frozen=True, rename={"class_": "class"}):
    """An event that busyd was asked to write. `reason` says why it was refused or needs a person."""

    id: str
    profile: str
    calendar: str
    start: Time
    end: Time
    summary: str
    description: str
    location: str
    url: str
    class_: Literal["", "public", "private", "confidential"]
    tentative: bool
    guests: tuple[GuestInAnswer, ...]
    invited: Literal["", "pending", "sent", "gone"]
    reminders: tuple[str, ...]
    metadata: dict[str, str]
    state: AppointmentState
    reason: str
    changed_elsewhere: Literal["", "moved", "edited", "restored"]
    uid: str
    created: Time
    proof: ProofInAnswer


class AppointmentsInWindow(Struct, frozen=True):
    """The appointments that touch a window, cancelled ones included."""

    profile: str
    appointments: list[Appointment]


def details_of(body: NewAppointmentBody, defaults: AppointmentDefaults) -> Details:
    """What the event is to say. Raises HttpProblem."""
    reminders = tuple(int(length.total_seconds()) for length in defaults.reminders)
    return Details(
        summary=_not_blank(body.summary),
        description=body.description,
        location=body.location,
        url=_url(body.url),
        reminders=reminders if body.reminders is UNSET else _reminders(body.reminders),
        classification="" if body.class_ is UNSET else body.class_.upper(),
        tentative=body.tentative,
        metadata=body.metadata,
        guests=tuple(Guest(_address(guest.email), guest.name) for guest in body.guests),
    )


def details_changer(body: ChangedAppointmentBody) -> Callable[[Details], Details]:
    """Makes the new details of the old ones. Raises HttpProblem, now."""
    summary = UNSET if body.summary is UNSET else _not_blank(body.summary)
    url = UNSET if body.url is UNSET else _url(body.url)
    reminders = UNSET if body.reminders is UNSET else _reminders(body.reminders)
    wanted = {
        "summary": summary,
        "description": body.description,
        "location": body.location,
        "url": url,
        "reminders": reminders,
        "metadata": body.metadata,
    }
    fields = {name: value for name, value in wanted.items() if value is not UNSET}
    return lambda details: replace(details, **fields)


def appointment_body(view: AppointmentView) -> Appointment:
    """An appointment as JSON."""
    details = view.details
    return Appointment(
        id=view.id,
        profile=view.profile,
        calendar=view.calendar,
        start=to_rfc3339(view.span.start),
        end=to_rfc3339(view.span.end),
        summary=details.summary,
        description=details.description,
        location=details.location,
        url=details.url,
        class_=_class(details.classification),
        tentative=details.tentative,
        guests=tuple(GuestInAnswer(guest.email, guest.name) for guest in details.guests),
        invited=_invited(view.invited),
        reminders=tuple(write_duration(timedelta(seconds=seconds)) for seconds in details.reminders),
        metadata=dict(details.metadata),
        state=view.state,
        reason=view.reason,
        changed_elsewhere=_changed_elsewhere(view.changed_elsewhere),
        uid=view.uid,
        created=to_rfc3339(view.created),
        proof=ProofInAnswer(_times(view.before), _times(view.after)),
    )


def etag_of(body: bytes) -> str:
    """Names an appointment as it is told."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def _class(text: str) -> Literal["", "public", "private", "confidential"]:
    match text:
        case "PUBLIC":
            return "public"
        case "PRIVATE":
            return "private"
        case "CONFIDENTIAL":
            return "confidential"
    return ""


def _invited(text: str) -> Literal["", "pending", "sent", "gone"]:
    match text:
        case "pending":
            return "pending"
        case "sent":
            return "sent"
        case "gone":
            return "gone"
    return ""


def _changed_elsewhere(text: str) -> Literal["", "moved", "edited", "restored"]:
    match text:
        case "moved":
            return "moved"
        case "edited":
            return "edited"
        case "restored":
            return "restored"
    return ""


def _times(proof: Mapping[str, Instant]) -> dict[str, Time]:
    return {calendar: to_rfc3339(at) for calendar, at in sorted(proof.items())}


def _not_blank(text: str) -> str:
    if not text.strip():
        raise invalid("`summary` is blank", fix="send what the event is to be called")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    if text and (not parts.scheme or not text.isascii() or not text.isprintable() or " " in text):
        raise invalid("`url` is no absolute URL", fix="send one like https://example.org/call, percent-encoded")
    return text


def _reminders(texts: list[str]) -> tuple[int, ...]:
    found = [read_duration("reminders", text, least=0) for text in texts]
    if any(seconds > LONGEST_REMINDER for seconds in found):
        raise invalid("a reminder comes at most 28 days before", fix="send a shorter time, 15m for instance")
    return tuple(dict.fromkeys(found))


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text):
        msg = f"`guests`: {text[:80]!r} is no email address"
        raise invalid(msg, fix="send addresses like ben@example.org")
    return text
