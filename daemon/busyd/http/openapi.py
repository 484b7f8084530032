"""`/openapi.json`: the API described (OpenAPI 3.1), so exactly that a machine can find an answer it does not allow."""

from typing import Any, Final

import msgspec
from aiohttp import web

import busyd
from busyd.http.problem import PROBLEM_TYPE, TITLES
from busyd.http.response import JSON, Finished, headers_for
from busyd.http.routes import Call
from busyd.http.slots import MAX_STEPS

Schema = dict[str, Any]

TIME: Final[Schema] = {"type": "string", "format": "date-time", "pattern": "^[0-9-]{10}T[0-9:]{8}Z$"}
_TEXT: Final[Schema] = {"type": "string"}
_ASKED: Final[Schema] = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^(now|(now)?[+-]([0-9]{1,9}[smhdw])+)$"},
    ]
}
_FLAG: Final[Schema] = {"type": "boolean"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_WHEN_ASKED: Final = (
    "An RFC 3339 time, a date (midnight in the profile's zone, or in that of `tz`), or relative: now, +14d, -2h"
)
_MOST_STEPS: Final = f"a window may hold at most {MAX_STEPS:,} points of it inside the hours"
_DURATION: Final[Schema] = {"type": "string", "pattern": "^([0-9]{1,9}[smhdw])+$", "examples": ["30m", "1h30m"]}


class OpenApiHandler:
    """Hands out the description, written when it is first asked for."""

    def __init__(self) -> None:
        self._finished: Finished | None = None

    async def get_openapi(self, call: Call) -> web.StreamResponse:
        if self._finished is None:
            self._finished = Finished(msgspec.json.encode(describe()), headers_for(JSON))
        return await self._finished.response(call.head)


def describe() -> Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "busyd",
            "version": busyd.__version__,
            "summary": "When is this person busy?",
            "description": "Intervals are half-open, times go out in UTC. A window is at most 1000 days long. On this"
            " machine, what holds no details needs no token.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "security": [{"token": []}, {}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "responses": {"problem": _problem("The request cannot be answered")},
        },
    }


def _paths() -> Schema:
    profile = _parameter("profile", "path", {"type": "string"}, "Name of a profile")
    window = [
        _parameter("start", "query", _ASKED, f"{_WHEN_ASKED}. Default: now"),
        _parameter("end", "query", _ASKED, f"{_WHEN_ASKED}. Default: 14 days after the start"),
        _parameter("tz", "query", _TEXT, "IANA name of the zone in which dates are read"),
    ]
    trust = [
        _parameter("max_age", "query", _DURATION, "Ask the remotes first when the last proof is older than this"),
        _parameter("on_stale", "query", {"enum": ["serve", "busy", "error"]}, "What to do about old data"),
    ]
    shape = [
        _parameter("duration", "query", _DURATION, "Length of a slot"),
        _parameter("step", "query", _DURATION, f"Width of the grid on which slots start; {_MOST_STEPS}"),
        _parameter("notice", "query", _DURATION, "Nothing earlier than this from now"),
        _parameter("buffer_before", "query", _DURATION, "Free time needed before an appointment"),
        _parameter("buffer_after", "query", _DURATION, "Free time needed after it"),
        _parameter("hours", "query", {"enum": ["none"]}, "Offer all day, every day"),
        _parameter("tentative", "query", {"enum": ["busy", "free"]}, "Whether tentative time blocks"),
    ]
    freebusy = {**_ok("freebusy"), **_ok_calendar()}
    token = _parameter("token", "path", {"type": "string"}, "A token, as `busyd token add` printed it")
    return {
        "/v1/profiles": _get("Who can be asked about", _ok("profiles")),
        "/v1/profiles/{profile}/freebusy": _get(
            "When is this person busy?", freebusy, [profile, *window, *trust], cached=True, of_profile=True
        ),
        "/v1/profiles/{profile}/freebusy.ifb": _get(
            "The same as one VFREEBUSY", _ok_calendar(), [profile, *window, *trust], cached=True, of_profile=True
        ),
        "/v1/profiles/{profile}/slots": _get(
            "Where does an appointment fit?", _ok("slots"), [profile, *window, *shape, *trust], of_profile=True
        ),
        "/v1/profiles/{profile}/explain": _get(
            "Why is this person busy?", _ok("explanation"), [profile, *window], of_profile=True
        ),
        "/v1/status": _get("How is every connection and calendar?", _ok("status")),
        "/v1/calendars": _get("Every calendar that is known", _ok("calendars")),
        "/v1/sync": {
            "post": {
                "summary": "Poll every connection now; tells line by line how it goes",
                "responses": {
                    "200": {
                        "description": 'JSON lines, the last one `{"finished": true, "failed": [...]}`',
                        "content": {"application/x-ndjson": {"schema": _TEXT}},
                    },
                    **_problems("408", "413", "415"),
                },
            }
        },
        "/v1/reload": {
            "post": {
                "summary": "Read the configuration again, as SIGHUP does; a faulty one changes nothing",
                "responses": {
                    "200": {"description": "What came of it", "content": _ok("reload")},
                    **_problems("408", "413", "415"),
                },
            }
        },
        "/feeds/{token}.ics": _get("The blocked slots, to subscribe to", _ok_calendar(), [token], cached=True),
        "/healthz": _get("The process runs", _ok("health")),
        "/readyz": _get("Every profile can be answered for", _ok("health")),
        "/metrics": _get("For Prometheus", {"text/plain": {"schema": _TEXT}}),
        "/openapi.json": _get("This description", {JSON: {"schema": {"type": "object"}}}),
        "/": _get("A page for people", {"text/html": {"schema": _TEXT}}),
        "/style.css": _get("Its looks", {"text/css": {"schema": _TEXT}}),
        "/page.js": _get("Its script", {"text/javascript": {"schema": _TEXT}}),
    }


def _schemas() -> Schema:
    maybe_time = {"anyOf": [TIME, {"type": "null"}]}
    maybe_text = {"type": ["string", "null"]}
    calendar_health = {"enum": ["fresh", "stale", "never-read", "missing"]}
    profile_state = {"enum": ["unconfigured", "loading", "incomplete", "stale", "fresh"]}
    kinds = {"enum": ["BUSY", "BUSY-TENTATIVE", "BUSY-UNAVAILABLE"]}
    span = _object(start=TIME, end=TIME)
    trust = {"profile": _TEXT, "start": TIME, "end": TIME, "as_of": maybe_time, "stale": _FLAG, "complete": _FLAG}
    profile = {
        "name": _TEXT,
        "timezone": _TEXT,
        "primary": maybe_text,
        "conflicts": _list(_TEXT),
        "state": profile_state,
        "as_of": maybe_time,
        "stale": _FLAG,
    }
    calendar = _object(
        calendar=_TEXT,
        connection=_TEXT,
        name=_TEXT,
        id=_TEXT,
        href=_TEXT,
        kind={"enum": ["own", "shared", "subscribed", "feed"]},
        writable=_FLAG,
        transparent=_FLAG,
        linked=_FLAG,
        state={"enum": ["missing", "not-linked", "read", "never-read"]},
        as_of=maybe_time,
        detail=_TEXT,
        note=_TEXT,
    )
    connection = _object(
        name=_TEXT,
        kind={"enum": ["icloud", "caldav", "ics"]},
        state={"enum": ["ok", "trouble", "starting", "unused"]},
        detail=_TEXT,
        since=maybe_time,
        last_poll=maybe_time,
        next_poll=maybe_time,
        requests=_COUNT,
        calendars=_list(calendar),
    )
    linked = _object(calendar=_TEXT, state=calendar_health, as_of=maybe_time, detail=_TEXT)
    explained = _object(
        calendar=_TEXT,
        uid=_TEXT,
        href=_TEXT,
        summary=_TEXT,
        location=_TEXT,
        start=TIME,
        end=TIME,
        type={"enum": ["FREE", *kinds["enum"]]},
        blocks=_FLAG,
        reason=_TEXT,
        rule=maybe_text,
        origin=maybe_text,
    )
    status = _object(
        version=_TEXT,
        now=TIME,
        profiles=_list(_object(**profile, calendars=_list(linked))),
        connections=_list(connection),
        problems=_list(_object(calendar=_TEXT, href=_TEXT, uid=_TEXT, kind=_TEXT, reason=_TEXT)),
    )
    # Only there when the last reload was refused: why.
    status["properties"]["configuration"] = _TEXT
    proof = _object(calendar=_TEXT, as_of=maybe_time, state=calendar_health)
    # Only there when some of its time is not known for want of memory or the like: why, and what to do.
    proof["properties"]["detail"] = _TEXT
    return {
        "freebusy": _object(**trust, busy=_list(_object(start=TIME, end=TIME, type=kinds)), calendars=_list(proof)),
        "slots": _object(**trust, slots=_list(span)),
        "profiles": _object(profiles=_list(_object(**profile))),
        "explanation": _object(profile=_TEXT, start=TIME, end=TIME, events=_list(explained)),
        "status": status,
        "calendars": _object(calendars=_list(calendar)),
        "reload": _object(
            outcome={"enum": ["applied", "refused", "restart-needed"]},
            changed=_list(_TEXT),
            needs_restart=_list(_TEXT),
            faults=_list(_object(file=_TEXT, line=_COUNT, column=_COUNT, message=_TEXT)),
            warnings=_list(_TEXT),
        ),
        "health": _object(status={"enum": ["alive", "ready"]}),
        "problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "additionalProperties": False,
            "properties": {
                "type": {"type": "string", "pattern": f"/errors/({'|'.join(TITLES)})$"},
                "title": _TEXT,
                "status": {"type": "integer"},
                "detail": _TEXT,
                "fix": _TEXT,
            },
        },
    }


def _get(
    summary: str,
    content: Schema,
    parameters: list[Schema] | None = None,
    *,
    cached: bool = False,
    of_profile: bool = False,
) -> Schema:
    responses: Schema = {"200": {"description": summary, "content": content}, **_problems()}
    if cached:
        responses["304"] = {"description": "The client has it already"}
    if of_profile:
        responses |= {"409": _reference("responses/problem")}
    operation: Schema = {"summary": summary, "responses": responses}
    if parameters:
        operation["parameters"] = parameters
    return {"get": operation}


def _problems(*further: str) -> Schema:
    """What any address may answer instead."""
    always = {"400", "401", "403", "404", "405", "413", "414", "415", "421", "429", "431", "500", "503"}
    statuses = sorted(always | set(further))
    return {status: _reference("responses/problem") for status in statuses}


def _problem(description: str) -> Schema:
    return {"description": description, "content": {PROBLEM_TYPE: {"schema": _reference("schemas/problem")}}}


def _ok(name: str) -> Schema:
    return {JSON: {"schema": _reference(f"schemas/{name}")}}


def _ok_calendar() -> Schema:
    return {"text/calendar": {"schema": _TEXT}}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/{name}"}


def _parameter(name: str, place: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": description}


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}
