"""What the parts of the API's description are made of."""

from collections.abc import Sequence
from typing import Any, Final

from busyd.http.idempotency import KEY_PATTERN
from busyd.http.response import JSON

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
LENGTH: Final = {"type": "string", "pattern": "^([0-9]{1,9}[smhdw])+$", "maxLength": 32}
TIME: Final = {
    "anyOf": [
        {"type": "string", "format": "date-time", "maxLength": 64},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^(now|(now)?[+-]([0-9]{1,9}[smhdw])+)$", "maxLength": 64},
    ],
    "description": "An RFC 3339 time, a date (midnight in the profile's zone), or relative: now, +14d",
}
PROBLEM: Final[Schema] = {"$ref": "#/components/responses/problem"}
ALWAYS: Final = [
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
]
"""The statuses of the refusals with which any request that changes something may be answered."""


def parameter(name: str, place: str, *, schema: Schema, description: str, required: bool = False) -> Schema:
    """One parameter; those of a path are always required."""
    is_required = required or place == "path"
    return {"name": name, "in": place, "required": is_required, "schema": schema, "description": description}


KEY: Final = parameter(
    "Idempotency-Key",
    "header",
    schema={"type": "string", "pattern": KEY_PATTERN},
    description="The same request with the same key is done once, and gets the same answer again",
)


def json_answer(description: str, schema: str) -> Schema:
    """An answer with a body of this schema."""
    return {"description": description, "content": {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}


def operation(
    summary: str,
    *,
    status: str,
    others: Sequence[str] = (),
    answer: str = "",
    parameters: list[Schema],
    body: Schema | None = None,
) -> Schema:
    """A request that is answered with this status and `answer`, the name of a schema, or with `others`, or refused."""
    done = json_answer(summary, answer) if answer else {"description": summary}
    operation: Schema = {
        "summary": summary,
        "parameters": parameters,
        "responses": {**dict.fromkeys(ALWAYS, PROBLEM), **_others(others), status: done},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": body}}}
    return operation


def _others(statuses: Sequence[str]) -> Schema:
    """Further answers: 202 with the thing as it is meanwhile, and refusals."""
    meanwhile = json_answer("Not settled yet: it settles by itself", "Appointment")
    return {status: meanwhile if status == "202" else PROBLEM for status in statuses}
