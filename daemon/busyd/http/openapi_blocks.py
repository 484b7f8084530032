"""The part of the API's description that is about blocks and holds."""

from typing import Any, Final

from busyd.http.blocks import MAX_TEXT, Block, Blocks
from busyd.http.holds import Hold, HoldsInForce
from busyd.http.idempotency import KEY_PATTERN
from busyd.http.response import JSON

BLOCK_BODIES: Final = (Block, Blocks, Hold, HoldsInForce)
_TIME: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time", "maxLength": 64},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^(now|(now)?[+-]([0-9]{1,9}[smhdw])+)$", "maxLength": 64},
    ],
    "description": "An RFC 3339 time, a date (midnight in the profile's zone), or relative: now, +14d",
}
_FIELDS: Final[dict[str, Any]] = {
    "start": _TIME,
    "end": _TIME,
    "summary": {"type": "string", "maxLength": MAX_TEXT},
    "type": {"enum": ["BUSY", "BUSY-UNAVAILABLE"], "default": "BUSY"},
}
_LENGTH: Final = {"type": "string", "pattern": "^([0-9]{1,9}[smhdw])+$", "maxLength": 32}
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": KEY_PATTERN},
    "description": "The same request with the same key is done once, and gets the same answer again",
}
_PROBLEM: Final = {"$ref": "#/components/responses/problem"}
_ALWAYS: Final = (
    "400",
    "401",
    "403",
    "404",
    "405",
    "408",
    "409",
    "413",
    "414",
    "415",
    "421",
    "422",
    "429",
    "431",
    "500",
    "503",
)


def block_paths(profile: dict[str, Any], window: list[dict[str, Any]]) -> dict[str, Any]:
    """The paths, with the parameters that they share with others."""
    block = {"name": "block", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Its id"}
    reason = {
        "name": "reason",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "maxLength": MAX_TEXT},
        "description": "Why it is removed",
    }
    hold = {"name": "hold", "in": "path", "required": True, "schema": {"type": "string"}, "description": "Its id"}
    new = {
        **_FIELDS,
        "write": {
            "type": "boolean",
            "const": False,
            "description": "Not supported yet",
        },
    }
    return {
        "/v1/profiles/{profile}/blocks": {
            "get": _operation(
                "The blocks in force that touch a window", status="200", answer="Blocks", parameters=[profile, *window]
            ),
            "post": _operation(
                "Mark time as busy, in every answer and feed from now on",
                status="201",
                answer="Block",
                parameters=[profile, _KEY],
                body={"type": "object", "required": ["start", "end"], "properties": new, "additionalProperties": False},
            ),
        },
        "/v1/profiles/{profile}/holds": {
            "get": _operation(
                "The holds in force that touch a window",
                status="200",
                answer="HoldsInForce",
                parameters=[profile, *window],
            ),
            "post": _operation(
                "Keep a slot for some minutes",
                status="201",
                answer="Hold",
                parameters=[profile, _KEY],
                body={
                    "type": "object",
                    "required": ["start"],
                    "properties": {"start": _TIME, "end": _TIME, "duration": _LENGTH, "ttl": _LENGTH},
                    "additionalProperties": False,
                },
            ),
        },
        "/v1/profiles/{profile}/holds/{hold}": {
            "get": _operation(
                "A hold, also one that has ended", status="200", answer="Hold", parameters=[profile, hold]
            ),
            "delete": _operation("Give a hold back", status="204", parameters=[profile, hold, _KEY]),
        },
        "/v1/profiles/{profile}/blocks/{block}": {
            "get": _operation(
                "A block, also one that was removed", status="200", answer="Block", parameters=[profile, block]
            ),
            "patch": _operation(
                "Change a block",
                status="200",
                answer="Block",
                parameters=[profile, block, _KEY],
                body={"type": "object", "properties": _FIELDS, "additionalProperties": False},
            ),
            "delete": _operation("Remove a block", status="204", parameters=[profile, block, reason, _KEY]),
        },
    }


def _operation(
    summary: str,
    *,
    status: str,
    answer: str = "",
    parameters: list[dict[str, Any]],
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    done: dict[str, Any] = {"description": summary}
    if answer:
        done["content"] = {JSON: {"schema": {"$ref": f"#/components/schemas/{answer}"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "parameters": parameters,
        "responses": {**dict.fromkeys(_ALWAYS, _PROBLEM), status: done},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation
