"""`/openapi.json`: the description of the API (OpenAPI 3.1), exact enough to check every answer against it."""

from typing import Final

import msgspec
from msgspec import Struct

import busyd
from busyd.flow.reload import ReloadOutcome
from busyd.http import web
from busyd.http.bodies import (
    Calendars,
    Explanation,
    FreeBusy,
    GroupSlots,
    Health,
    Problems,
    Profiles,
    Slots,
)
from busyd.http.call import Call
from busyd.http.capabilities import Capabilities
from busyd.http.change_bodies import ChangesPage, Heartbeat
from busyd.http.changes import EVENTS
from busyd.http.history_bodies import HistoryAnswer
from busyd.http.openapi_appointments import APPOINTMENT_BODIES, appointment_paths
from busyd.http.openapi_blocks import BLOCK_BODIES, block_paths
from busyd.http.openapi_changes import REPLAY, TOLD
from busyd.http.openapi_page import PAGE_BODIES, page_paths
from busyd.http.openapi_parts import TEXT, Schema, parameter
from busyd.http.openapi_slots import DURATION, GROUP, SHAPE
from busyd.http.problem import PROBLEM_TYPE, ProblemDetails
from busyd.http.response import JSON, Finished, headers_for, to_json
from busyd.http.status_bodies import Status

BODIES: Final = (
    *APPOINTMENT_BODIES,
    *BLOCK_BODIES,
    *PAGE_BODIES,
    *TOLD,
    Calendars,
    Capabilities,
    ChangesPage,
    Explanation,
    FreeBusy,
    GroupSlots,
    Health,
    Heartbeat,
    HistoryAnswer,
    ProblemDetails,
    Problems,
    Profiles,
    ReloadOutcome,
    Slots,
    Status,
)
_ASKED: Final[Schema] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^(now|(now)?[+-]([0-9]{1,9}[smhdw])+)$"},
    ]
}
_WHEN_ASKED: Final = (
    "An RFC 3339 time, a date (midnight in the profile's time zone, or in that of `tz`), or relative: now, +14d, -2h"
)


class OpenApiHandler:
    """Serves the description, which is made when it is first asked for."""

    def __init__(self) -> None:
        self._finished: Finished | None = None

    async def get_openapi(self, call: Call) -> web.StreamResponse:
        if self._finished is None:
            self._finished = Finished(to_json(describe()), headers_for(JSON))
        return await self._finished.response(call.head)


def describe() -> Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "busyd",
            "version": busyd.__version__,
            "summary": "When is this person busy?",
            "description": "Intervals are half-open, and answers give times in UTC. A window is at most 1000 days"
            " long. On the machine that busyd runs on, requests for answers without details need no token.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"token": []}, {}],
        "paths": _with_no_connection(_paths()),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "responses": {
                "problem": {
                    "description": "The request cannot be answered",
                    "content": {PROBLEM_TYPE: {"schema": _reference("schemas/ProblemDetails")}},
                }
            },
        },
    }


def _with_no_connection(paths: Schema) -> Schema:
    """Whatever asks about a profile is told when no account is connected at all."""
    for path, operations in paths.items():
        for operation in operations.values() if "{profile}" in path else ():
            operation["responses"]["409"] = _reference("responses/problem")
    return paths


def _paths() -> Schema:
    profile = parameter("profile", "path", schema={"type": "string"}, description="Name of a profile")
    window = [
        parameter("start", "query", schema=_ASKED, description=f"{_WHEN_ASKED}. Default: now"),
        parameter("end", "query", schema=_ASKED, description=f"{_WHEN_ASKED}. Default: 14 days after the start"),
        parameter("tz", "query", schema=TEXT, description="IANA name of the time zone in which dates are read"),
    ]
    trust = [
        parameter(
            "max_age",
            "query",
            schema=DURATION,
            description="Check with the remotes first when the last confirmation is older than this",
        ),
        parameter(
            "on_stale",
            "query",
            schema={"enum": ["serve", "busy", "error"]},
            description="What to do when the data is stale",
        ),
    ]
    problem = parameter("problem", "path", schema={"type": "string"}, description="Id of a problem")
    freebusy = {**_ok(FreeBusy), **_ok_calendar()}
    only = [
        parameter("profile", "query", schema=TEXT, description="Only this profile, with the connections it uses"),
        parameter("connection", "query", schema=TEXT, description="Only this connection, with its profiles"),
    ]
    token = parameter("token", "path", schema={"type": "string"}, description="A token made by `busyd token add`")
    return {
        "/v1/profiles": _get("The profiles that the caller may see", _ok(Profiles)),
        "/v1/profiles/{profile}/freebusy": _get(
            "When is this person busy?", freebusy, parameters=[profile, *window, *trust], cached=True, of_profile=True
        ),
        "/v1/profiles/{profile}/freebusy.ifb": _get(
            "When is this person busy, as one VFREEBUSY?",
            _ok_calendar(),
            parameters=[profile, *window, *trust],
            cached=True,
            of_profile=True,
        ),
        "/v1/profiles/{profile}/slots": _get(
            "Where does an appointment fit?", _ok(Slots), parameters=[profile, *window, *SHAPE, *trust], of_profile=True
        ),
        "/v1/slots": _get(
            "Where does an appointment fit for several people, and who is free?",
            _ok(GroupSlots),
            parameters=[*GROUP, *window, *SHAPE, *trust],
            of_profile=True,
        ),
        "/v1/profiles/{profile}/explain": _get(
            "Why is this person busy?", _ok(Explanation), parameters=[profile, *window], of_profile=True
        ),
        "/v1/profiles/{profile}/history": _get(
            "Since when is a moment busy or free, by what, and what was it before?",
            _ok(HistoryAnswer),
            parameters=[
                profile,
                parameter("at", "query", schema=_ASKED, description=f"{_WHEN_ASKED}. Default: now"),
                window[-1],
            ],
            of_profile=True,
        ),
        **appointment_paths(profile, window),
        **block_paths(profile, window),
        "/v1/profiles/{profile}/changes": _get(
            "What becomes busy, free or uncertain", _ok_changes(), parameters=[profile, *REPLAY], of_profile=True
        ),
        "/v1/changes": _get(
            "The same of several profiles, or of all that the caller may see",
            _ok_changes(),
            parameters=[parameter("profiles", "query", schema=TEXT, description="Comma-separated names"), *REPLAY],
        ),
        "/v1/capabilities": _get("What this installation reads, writes and never stores", _ok(Capabilities)),
        "/v1/status": _get("The state of every connection and calendar", _ok(Status), parameters=only),
        "/v1/calendars": _get("Every known calendar", _ok(Calendars)),
        "/v1/problems": _get("What in the calendars could not be taken as it is", _ok(Problems)),
        "/v1/problems/{problem}/accept": _post_problem("Ignore an event that could not be understood", problem),
        "/v1/problems/{problem}/withdraw": _post_problem("Stop ignoring it", problem),
        "/v1/sync": {
            "post": {
                "summary": "Poll every connection now, and report the progress line by line",
                "responses": {
                    "200": {
                        "description": 'JSON lines, the last one `{"finished": true, "failed": [...]}`',
                        "content": {"application/x-ndjson": {"schema": TEXT}},
                    },
                    **_problems("408", "413", "415"),
                },
            }
        },
        "/v1/reload": {
            "post": {
                "summary": "Read the configuration again, as SIGHUP does; an invalid one is rejected as a whole",
                "responses": {
                    "200": {"description": "The outcome", "content": _ok(ReloadOutcome)},
                    **_problems("408", "413", "415"),
                },
            }
        },
        "/feeds/{token}.ics": _get(
            "The blocked slots as a calendar to subscribe to", _ok_calendar(), parameters=[token], cached=True
        ),
        "/healthz": _get("busyd runs", _ok(Health)),
        "/readyz": _get("busyd is ready to answer for every profile", _ok(Health)),
        "/metrics": _get("Metrics for Prometheus", {"text/plain": {"schema": TEXT}}),
        "/openapi.json": _get("This description", {JSON: {"schema": {"type": "object"}}}),
        **page_paths(),
    }


def _schemas() -> Schema:
    """The schemas of the answers, made exact: what is not described is not sent."""
    _, components = msgspec.json.schema_components(BODIES, ref_template="#/components/schemas/{name}")
    told = [_reference(f"schemas/{body.__name__}") for body in TOLD]
    for name in ("ChangeInAnswer", "HistoryChange"):
        components[name]["properties"]["data"] = {"anyOf": told}
    for schema in components.values():
        if schema.get("type") == "object":
            properties = schema["properties"]
            required = schema.get("required", ())
            # A field with a default is sent like any other. One that may be left out (`UNSET`) has none here.
            schema["required"] = [name for name, value in properties.items() if name in required or "default" in value]
            for value in properties.values():
                value.pop("default", None)
            schema["additionalProperties"] = False
    return components


def _get(
    summary: str,
    content: Schema,
    *,
    parameters: list[Schema] | None = None,
    cached: bool = False,
    of_profile: bool = False,
) -> Schema:
    responses: Schema = {"200": {"description": summary, "content": content}, **_problems()}
    if cached:
        responses["304"] = {"description": "The answer has not changed"}
    if of_profile:
        responses |= {"409": _reference("responses/problem")}
    operation: Schema = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    return {"get": operation}


def _post_problem(summary: str, parameter: Schema) -> Schema:
    responses = {
        "200": {"description": "The problems of the event", "content": _ok(Problems)},
        **_problems("408", "409", "413", "415"),
    }
    return {"post": {"summary": summary, "responses": responses, "parameters": [parameter]}}


def _problems(*further: str) -> Schema:
    """The refusals that any address may answer with."""
    always = {"400", "401", "403", "404", "405", "413", "414", "415", "421", "429", "431", "500", "503"}
    statuses = sorted(always | set(further))
    return {status: _reference("responses/problem") for status in statuses}


def _ok(body: type[Struct]) -> Schema:
    return {JSON: {"schema": _reference(f"schemas/{body.__name__}")}}


def _ok_changes() -> Schema:
    """A stream of server-sent events, or a page of the log."""
    return {EVENTS: {"schema": TEXT}, **_ok(ChangesPage)}


def _ok_calendar() -> Schema:
    return {"text/calendar": {"schema": TEXT}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/{name}"}
