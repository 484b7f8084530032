"""Answers that are given again while nothing has changed: apps ask every minute whether there is news, for years.

What an answer rests on is noted before it is made.
"""

from typing import Final

from aiohttp.http_writer import HttpVersion11
from msgspec import Struct

from busyd.availability.hours import Hours
from busyd.flow.backend import Backend
from busyd.flow.collections import Revision
from busyd.http import web
from busyd.http.call import Call
from busyd.http.response import Date, SerializedResponse

_MOST_KEPT: Final = 512
_LONGEST_QUESTION: Final = 2048
_LONGEST_ANSWER: Final = 8192

_OF_ENGINE: Final = (b"time-range", b"expand", b"limit-recurrence-set")
"""What depends on time zones too, which may be replaced under a running daemon."""

_Question = tuple[str, str, str, str, str, str, bytes]


class Basis(Struct, frozen=True):
    """All that an answer rests on: the same as long as nothing of it has changed."""

    collections: Revision
    properties: int
    """What apps have said of collections."""
    profile: tuple[int, bool, str, Hours | None]
    day: int


class _Remembered(Struct, frozen=True):
    """An answer, and what it was made from."""

    basis: Basis
    start: bytes
    """As it goes over the wire, up to the value of its Date."""
    body: bytes


class AnswerMemo:
    """The answers given last, by who asked and what for."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._known: dict[_Question, _Remembered] = {}
        self._date = Date()

    def basis(self, call: Call) -> Basis | None:
        """What the answer to a request rests on; None where nothing is to be remembered."""
        backend = self._backend
        profile = backend.profile(call.values.get("owner", ""))
        is_of_calendar = "collection" in call.values
        if profile is None or call.caller.token is None or not is_of_calendar or not call.caller.sees(profile.name):
            return None
        return Basis(
            backend.collections.revision_of(profile.name),
            backend.properties.revision,
            (profile.snapshot_version, profile.freshness.known, profile.timezone, profile.hours),
            backend.clock.now() // 86_400,
        )

    def at_once(self, call: Call, body: bytes, *, basis: Basis | None) -> web.StreamResponse | None:
        """The answer to this request, if it is the same as last time."""
        request = call.request
        if basis is None or request.version != HttpVersion11 or not request.keep_alive or call.head.origin:
            return None
        known = self._known.get(_question(call, body))
        if known is None or known.basis != basis:
            return None
        date = self._date.at(self._backend.clock.now())
        return SerializedResponse(b"".join((known.start, date, b"\r\n\r\n", known.body)), status=207)

    def remember(self, call: Call, body: bytes, *, response: web.StreamResponse, basis: Basis | None) -> None:
        """Keep a short answer to a short question."""
        answer = response.body if isinstance(response, web.Response) else None
        if basis is None or not isinstance(answer, bytes) or response.status != 207:
            return
        if len(answer) > _LONGEST_ANSWER or len(body) > _LONGEST_QUESTION or any(word in body for word in _OF_ENGINE):
            return
        if len(self._known) >= _MOST_KEPT:
            self._known.clear()
        fields = "".join(f"{name}: {value}\r\n" for name, value in response.headers.items())
        start = f"HTTP/1.1 207 Multi-Status\r\n{fields}Content-Length: {len(answer)}\r\nDate: "
        self._known[_question(call, body)] = _Remembered(basis, start.encode("latin-1"), answer)


def _question(call: Call, body: bytes) -> _Question:
    request, token = call.request, call.caller.token
    fields = (request.headers.get(name, "") for name in ("Depth", "Prefer", "Brief"))
    depth, prefer, brief = fields
    return token.id if token is not None else "", request.method, request.raw_path, depth, prefer, brief, body
