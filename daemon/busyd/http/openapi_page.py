"""The part of the description that is about the web page, its login, and tokens."""

from typing import Any, Final

from busyd.credentials.tokens import SCOPES
from busyd.http.login import OneTimeLogin
from busyd.http.openapi_parts import ALWAYS, LENGTH, PROBLEM, TEXT, json_answer
from busyd.http.response import JSON
from busyd.http.tokens import MadeToken, TokensInAnswer

PAGE_BODIES: Final = (MadeToken, OneTimeLogin, TokensInAnswer)
_HTML: Final = {"text/html": {"schema": TEXT}}
_LOGIN_AGAIN: Final = {"description": "The form, where the login was refused", "content": _HTML}
_NEW_TOKEN: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["profile"],
    "properties": {
        "profile": {"type": "string", "maxLength": 100, "description": "A profile, or * for all"},
        "scopes": {"type": "array", "items": {"enum": list(SCOPES)}, "default": ["freebusy"]},
        "details": {"type": "boolean", "description": "Its feed shows titles and places"},
        "name": {"type": "string", "maxLength": 100, "description": "What it is for"},
        "expires": LENGTH,
    },
    "additionalProperties": False,
}
_LOGIN: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"token": {"type": "string", "description": "A token, or a login that works once"}},
}


def page_paths() -> dict[str, Any]:
    """The paths."""
    return {
        "/": {"get": _operation("The web page", {"200": _html("The page"), "401": _LOGIN_AGAIN})},
        "/page/{file}": {
            "get": _operation(
                "A file of the web page",
                {
                    "200": {
                        "description": "The file",
                        "content": {"text/css": {"schema": TEXT}, "text/javascript": {"schema": TEXT}},
                    },
                    "304": {"description": "The file has not changed"},
                },
                path="file",
            )
        },
        "/login": {
            "get": _operation("The form to log in with", {"200": _html("The form")}),
            "post": _operation(
                "Log in on the page, with a token or a login that works once",
                {"303": {"description": "Logged in"}, "401": _LOGIN_AGAIN},
                body={"application/x-www-form-urlencoded": {"schema": _LOGIN}},
            ),
        },
        "/logout": {"post": _operation("Log out of the page", {"303": {"description": "Logged out"}})},
        "/v1/logins": {
            "post": _operation("A login to the page that works once", {"201": json_answer("The login", "OneTimeLogin")})
        },
        "/v1/tokens": {
            "get": _operation(
                "The tokens that the caller may know of", {"200": json_answer("The tokens", "TokensInAnswer")}
            ),
            "post": _operation(
                "Make a token",
                {"201": json_answer("The token, shown only now", "MadeToken")},
                body={JSON: {"schema": _NEW_TOKEN}},
            ),
        },
        "/v1/tokens/{token}": {
            "delete": _operation("Revoke a token", {"204": {"description": "Revoked"}}, path="token")
        },
    }


def _operation(
    summary: str, answers: dict[str, Any], *, path: str = "", body: dict[str, Any] | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {**dict.fromkeys(ALWAYS, PROBLEM), **answers},
    }
    if path:
        operation["parameters"] = [{"name": path, "in": "path", "required": True, "schema": TEXT}]
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _html(description: str) -> dict[str, Any]:
    return {"description": description, "content": _HTML}
