"""The part of the API's description that is about blocks and holds."""

from collections.abc import Sequence
from typing import Any, Final

from busyd.http.blocks import MAX_TEXT, Block, Blocks
from busyd.http.holds import Hold, HoldsInForce
from busyd.http.idempotency import KEY_PATTERN
from busyd.http.response import JSON

BLOCK_BODIES: Final = (Block, Blocks, Hold, HoldsInForce)
TIME: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time", "maxLength": 64},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^(now|(now)?[+-]([0-9]{1,9}[smhdw])+)$", "maxLength": 64},
    ],
    "description": "An RFC 3339 time, a date (midnight in the profile's zone), or relative: now, +14d",
}
_FIELDS: Final[dict[str, Any]] = {
    "start": TIME,
    "end": TIME,
    "summary": {"type": "string", "maxLength": MAX_TEXT},
    "type": {"enum": ["BUSY", "BUSY-UNAVAILABLE"], "default": "BUSY"},
}
LENGTH: Final = {"type": "string", "pattern": "^([0-9]{1,9}[smhdw])+$", "maxLength": 32}
KEY: Final = {
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
                body={"type": "object", "required": ["start", "end"], "properties": new, "additionalProperties": False},
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


def _others(statuses: Sequence[str]) -> dict[str, Any]:
    """Further answers: 202 with the thing as it is meanwhile, and refusals."""
    meanwhile = {
        "description": "Not settled yet: it settles by itself",
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/Appointment"}}},
    }
    return {status: meanwhile if status == "202" else _PROBLEM for status in statuses}


def operation(
    summary: str,
    *,
    status: str,
    others: Sequence[str] = (),
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
        "responses": {**dict.fromkeys(_ALWAYS, _PROBLEM), **_others(others), status: done},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation
