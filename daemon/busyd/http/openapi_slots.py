"""The part of the API's description that is about the parameters of questions for open slots."""

from typing import Final

from busyd.http.group_slots import MODE_PATTERN, MOST_PEOPLE
from busyd.http.openapi_parts import TEXT, Schema, parameter
from busyd.http.slots import MAX_STEPS

DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]{1,9}[smhdw])+$", "examples": ["30m", "1h30m"]}
_MOST_STEPS: Final = f"a window may contain at most {MAX_STEPS:,} points of it within working hours"


SHAPE: Final = (
    parameter("duration", "query", schema=DURATION, description="Length of a slot"),
    parameter("step", "query", schema=DURATION, description=f"Interval between slot starts; {_MOST_STEPS}"),
    parameter("notice", "query", schema=DURATION, description="No slot starts earlier than this from now"),
    parameter("buffer_before", "query", schema=DURATION, description="Free time needed before the appointment"),
    parameter("buffer_after", "query", schema=DURATION, description="Free time needed after it"),
    parameter(
        "hours", "query", schema={"enum": ["none"]}, description="`none`: ignore the working hours of the profile"
    ),
    parameter(
        "tentative", "query", schema={"enum": ["busy", "free"]}, description="Whether tentative time counts as busy"
    ),
)
GROUP: Final = (
    parameter(
        "profiles", "query", schema=TEXT, description=f"Comma-separated names, at most {MOST_PEOPLE}", required=True
    ),
    parameter(
        "mode",
        "query",
        schema={"type": "string", "pattern": MODE_PATTERN, "default": "all"},
        description="How many of them must be free: `all`, `any`, or a number as in `n:2`",
    ),
    parameter(
        "rank",
        "query",
        schema={"enum": ["least-busy"]},
        description="`least-busy`: in each slot, who has least busy time in the window comes first",
    ),
)
