"""Answers that say no: RFC 9457 problem details, with a stable type and a sentence for a person.

Nothing here decides; whoever refuses raises `HttpProblem`, and the one wrapper in `app.py` turns it into an answer.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from aiohttp import web

from busyd.errors import BusydError
from busyd.http.response import SECURITY_HEADERS

ERROR_BASE: Final = "https://busyd.invalid/errors/"
"""Where every `type` begins: a name, not a page."""

PROBLEM_TYPE: Final = "application/problem+json"

TITLES: Final[Mapping[str, str]] = {
    "bad-request": "The request cannot be understood",
    "unknown-parameter": "Unknown parameter",
    "bad-window": "The window of time is none",
    "login-needed": "A token is needed",
    "missing-scope": "The token may not do this",
    "cross-site": "Another site may not write here",
    "not-found": "There is nothing at this address",
    "unknown-profile": "There is no such profile",
    "unknown-feed": "There is no such feed",
    "method-not-allowed": "This address does not take that method",
    "unconfigured": "The profile has no calendars",
    "too-slow": "The request took too long to arrive",
    "too-large": "The request is too large",
    "address-too-long": "The address is too long",
    "header-too-large": "The header of the request is too large",
    "wrong-media-type": "The body is of a type that is not taken here",
    "misdirected": "This is not the host you are looking for",
    "too-many-tries": "Too many wrong tokens",
    "stale": "What is known is too old",
    "incomplete": "Not everything is known",
    "not-ready": "Still reading the calendars for the first time",
    "unavailable": "Not possible at the moment",
    "too-many-connections": "Too many connections",
    "crash": "A fault of busyd",
}
"""Every name that can stand behind `ERROR_BASE`, and its title."""


class HttpProblem(BusydError):
    """The request gets this answer instead of what it asked for."""

    def __init__(
        self, name: str, status: int, detail: str, *, fix: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.name = name
        self.status = status
        self.fix = fix
        self.headers = headers or {}

    def body(self) -> bytes:
        """RFC 9457 §3: the same problem has the same bytes."""
        members: dict[str, str | int] = {
            "type": ERROR_BASE + self.name,
            "title": TITLES[self.name],
            "status": self.status,
            "detail": str(self),
        }
        if self.fix:
            members["fix"] = self.fix
        return msgspec.json.encode(members)

    def response(self) -> web.Response:
        headers = {**SECURITY_HEADERS, "Cache-Control": "no-store", "Content-Type": PROBLEM_TYPE, **self.headers}
        return web.Response(body=self.body(), status=self.status, headers=headers)


def bad_request(detail: str, *, fix: str = "", name: str = "bad-request") -> HttpProblem:
    """A 400 that says what is wrong with the question."""
    return HttpProblem(name, 400, detail, fix=fix)


def unknown_profile(name: str) -> HttpProblem:
    """The same for a profile that does not exist and for one the caller may not see."""
    return HttpProblem(
        "unknown-profile",
        404,
        f"there is no profile {name!r} here that you may ask about",
        fix="GET /v1/profiles lists the profiles you may ask about",
    )
