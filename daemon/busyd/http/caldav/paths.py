"""The paths of the CalDAV server, and its handler, which loads the XML library when it is first asked for."""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final

from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.call import Call, Handler
from busyd.http.settings import Limits

if TYPE_CHECKING:
    from busyd.http.caldav.server import CaldavServer

ROOT: Final = "/dav/"
WELL_KNOWN: Final = "/.well-known/caldav"
_DISCOVERY: Final = ("OPTIONS", "PROPFIND", "PROPPATCH", "REPORT")
_READING: Final = ("GET", "OPTIONS", "PROPFIND", "PROPPATCH", "REPORT")
_WRITING: Final = ("COPY", "DELETE", "MKCALENDAR", "MKCOL", "MOVE", "PUT")
_GUESSES: Final = (
    "/principals",
    "/principals/",
    "/principals/users/{user}",
    "/principals/users/{user}/",
    "/caldav/v2",
    "/caldav/v2/",
    "/calendar/dav/{user}/user",
    "/calendar/dav/{user}/user/",
)
"""Where macOS looks for a principal when nothing else has led to one."""
_COLLECTIONS: Final = (
    "/dav",
    ROOT,
    "/dav/{owner}",
    "/dav/{owner}/",
    "/dav/{owner}/{collection}",
    "/dav/{owner}/{collection}/",
    "/dav/{owner}/{collection}/{member}",
)
"""`owner` is a profile; access to it is decided by the server, which says the same of one that does not exist."""


class CaldavHandler:
    """Answers every method of the CalDAV server."""

    def __init__(self, backend: Backend, limits: Limits) -> None:
        self._backend = backend
        self._limits = limits

    @cached_property
    def _server(self) -> "CaldavServer":
        from busyd.http.caldav.server import CaldavServer

        return CaldavServer(self._backend, self._limits)

    async def handle(self, call: Call) -> web.StreamResponse:
        return await self._server.handle(call)


def discovery(handler: Handler) -> Mapping[str, Handler]:
    """What may be asked where nothing is but the way to the principal."""
    return dict.fromkeys(_DISCOVERY, handler)


def collections(handler: Handler) -> Mapping[str, Mapping[str, Handler]]:
    """Path -> the methods it has."""
    with_get = dict.fromkeys(("GET", *_DISCOVERY), handler)
    found: dict[str, Mapping[str, Handler]] = {WELL_KNOWN: with_get, f"{WELL_KNOWN}/": with_get}
    found |= dict.fromkeys(_GUESSES, discovery(handler))
    return found | dict.fromkeys(_COLLECTIONS, dict.fromkeys((*_READING, *_WRITING), handler))
