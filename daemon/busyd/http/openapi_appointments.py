"""The part of the API's description that is about appointments."""

from typing import Any, Final

from busyd.http.appointment_bodies import (
    CLASSES,
    MAX_DESCRIPTION,
    MAX_GUESTS,
    MAX_METADATA,
    MAX_REMINDERS,
    MAX_URL,
    Appointment,
    AppointmentsInWindow,
)
from busyd.http.blocks import MAX_TEXT
from busyd.http.openapi_parts import KEY, LENGTH, TEXT, TIME, operation, parameter

APPOINTMENT_BODIES: Final = (Appointment, AppointmentsInWindow)
_TEXT: Final = {"type": "string", "maxLength": MAX_TEXT}
_CHANGEABLE: Final[dict[str, Any]] = {
    "start": TIME,
    "end": TIME,
    "duration": LENGTH,
    "summary": {"type": "string", "minLength": 1, "maxLength": MAX_TEXT, "pattern": r"\S"},
    "description": {"type": "string", "maxLength": MAX_DESCRIPTION},
    "location": _TEXT,
    "url": {"type": "string", "maxLength": MAX_URL, "format": "uri"},
    "reminders": {"type": "array", "items": LENGTH, "maxItems": MAX_REMINDERS},
    "metadata": {
        "type": "object",
        "additionalProperties": _TEXT,
        "maxProperties": MAX_METADATA,
        "description": "Kept here, and told again; it is not written to the calendar",
    },
    "override": {
        "type": "array",
        "items": {"enum": ["hours", "notice", "window", "grid", "limits", "busy"]},
        "description": "Rules of `/slots` that do not count for this one; needs scope `admin`",
    },
}
_NEW: Final[dict[str, Any]] = {
    **_CHANGEABLE,
    "guests": {
        "type": "array",
        "maxItems": MAX_GUESTS,
        "items": {
            "type": "object",
            "required": ["email"],
            "properties": {
                "email": {"type": "string", "maxLength": 254, "format": "email"},
                "name": {"type": "string", "maxLength": 200},
            },
            "additionalProperties": False,
        },
    },
    "invite": {"enum": ["none", "server"], "description": "Whether the calendar's own server mails the guests"},
    "class": {"enum": list(CLASSES)},
    "tentative": {"type": "boolean", "default": False},
    "hold": {"type": "string", "maxLength": 64, "description": "The hold that is used up"},
}


def appointment_paths(profile: dict[str, Any], window: list[dict[str, Any]]) -> dict[str, Any]:
    """The paths, with the parameters that they share with others."""
    one = parameter("appointment", "path", schema=TEXT, description="Its id")
    reason = parameter("reason", "query", schema=_TEXT, description="Why it is cancelled")
    condition = parameter(
        "If-Match", "header", schema=TEXT, description="The ETag of the version that is to be changed"
    )
    many, single = "/v1/profiles/{profile}/appointments", "/v1/profiles/{profile}/appointments/{appointment}"
    return {
        many: {
            "get": operation(
                "The appointments that touch a window, cancelled ones included",
                status="200",
                answer="AppointmentsInWindow",
                parameters=[profile, *window],
            ),
            "post": operation(
                "Write an appointment to the primary calendar, once: 202 while that is not settled",
                status="201",
                others=("202", "410"),
                answer="Appointment",
                parameters=[profile, {**KEY, "required": True}],
                body={
                    "type": "object",
                    "required": ["start", "summary"],
                    "properties": _NEW,
                    "additionalProperties": False,
                },
            ),
        },
        single: {
            "get": operation(
                "An appointment, also one that has ended",
                status="200",
                answer="Appointment",
                parameters=[profile, one],
            ),
            "patch": operation(
                "Move or change an appointment in place: 202 while that is not settled",
                status="200",
                others=("202", "412"),
                answer="Appointment",
                parameters=[profile, one, condition, KEY],
                body={"type": "object", "properties": _CHANGEABLE, "additionalProperties": False},
            ),
            "delete": operation(
                "Cancel an appointment: 202 while that is not settled",
                status="204",
                others=("202",),
                parameters=[profile, one, reason, KEY],
            ),
        },
    }
