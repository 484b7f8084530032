"""The part of the API's description that is about blocks and holds."""

from typing import Any, Final

from busyd.http.blocks import MAX_TEXT, Block, Blocks
from busyd.http.holds import Hold, HoldsInForce
from busyd.http.openapi_parts import KEY, LENGTH, TEXT, TIME, operation, parameter

BLOCK_BODIES: Final = (Block, Blocks, Hold, HoldsInForce)
_FIELDS: Final[dict[str, Any]] = {
    "start": TIME,
    "end": TIME,
    "summary": {"type": "string", "maxLength": MAX_TEXT},
    "type": {"enum": ["BUSY", "BUSY-UNAVAILABLE"], "default": "BUSY"},
}


def block_paths(profile: dict[str, Any], window: list[dict[str, Any]]) -> dict[str, Any]:
    """The paths, with the parameters that they share with others."""
    block = parameter("block", "path", schema=TEXT, description="Its id")
    reason = parameter(
        "reason", "query", schema={"type": "string", "maxLength": MAX_TEXT}, description="Why it is removed"
    )
    hold = parameter("hold", "path", schema=TEXT, description="Its id")
    new = {
        **_FIELDS,
        "duration": LENGTH,
        "write": {
            "type": "boolean",
            "default": False,
            "description": "Also as an event in the calendar that `blocks:` of the profile names, else in its primary",
        },
    }
    return {
        "/v1/profiles/{profile}/blocks": {
            "get": operation(
                "The blocks in force that touch a window", status="200", answer="Blocks", parameters=[profile, *window]
            ),
            "post": operation(
                "Mark time as busy, in every answer and feed from now on",
                status="201",
                answer="Block",
                parameters=[profile, KEY],
                body={
                    "type": "object",
                    "required": ["start"],
                    "oneOf": [{"required": ["end"]}, {"required": ["duration"]}],
                    "properties": new,
                    "additionalProperties": False,
                },
            ),
        },
        "/v1/profiles/{profile}/holds": {
            "get": operation(
                "The holds in force that touch a window",
                status="200",
                answer="HoldsInForce",
                parameters=[profile, *window],
            ),
            "post": operation(
                "Keep a slot for some minutes",
                status="201",
                answer="Hold",
                parameters=[profile, KEY],
                body={
                    "type": "object",
                    "required": ["start"],
                    "properties": {"start": TIME, "end": TIME, "duration": LENGTH, "ttl": LENGTH},
                    "additionalProperties": False,
                },
            ),
        },
        "/v1/profiles/{profile}/holds/{hold}": {
            "get": operation(
                "A hold, also one that has ended", status="200", answer="Hold", parameters=[profile, hold]
            ),
            "delete": operation("Give a hold back", status="204", parameters=[profile, hold, KEY]),
        },
        "/v1/profiles/{profile}/blocks/{block}": {
            "get": operation(
                "A block, also one that was removed", status="200", answer="Block", parameters=[profile, block]
            ),
            "patch": operation(
                "Change a block",
                status="200",
                answer="Block",
                parameters=[profile, block, KEY],
                body={"type": "object", "properties": _FIELDS, "additionalProperties": False},
            ),
            "delete": operation("Remove a block", status="204", parameters=[profile, block, reason, KEY]),
        },
    }
