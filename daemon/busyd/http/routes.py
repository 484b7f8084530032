"""Which address means what, who may ask it, and with which method. A table; nothing here answers.

The table is small and flat, and a look into it costs a tenth of a general router's: that pays for tokens and ETags.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from aiohttp import web
from msgspec import Struct

from busyd.http.auth import Caller
from busyd.http.request_headers import RequestHeaders

NO_PARAMETERS: Final[frozenset[str]] = frozenset()


class Call(Struct):
    """One request that was let in; nobody changes it."""

    request: web.BaseRequest
    head: RequestHeaders
    caller: Caller
    query: Mapping[str, str]
    value: str = ""
    """What stands for the part in braces of the route's path."""
    client: str = ""
    """The address the request came from."""


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


class Route(Struct, frozen=True):
    """An address. `{profile}` and `{token}` stand for one segment, or for its beginning."""

    path: str
    methods: Mapping[str, Handler]
    scopes: frozenset[str] = frozenset()
    """One of them is needed; none: any token will do."""
    local: bool = False
    """This machine may ask without a token."""
    navigable: bool = False
    """The same bytes for everybody: on this machine also where a link on another site leads here."""
    public: bool = False
    """The address itself is the secret; no other token is looked for."""
    parameters: frozenset[str] = NO_PARAMETERS
    ignores_parameters: bool = False
    """Whatever is in the query: calendar apps add numbers of their own to get around caches."""

    @property
    def allow(self) -> str:
        """The value of the Allow field (RFC 9110 §10.2.1)."""
        methods = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(methods))

    def handler(self, method: str) -> Handler | None:
        return self.methods.get("GET" if method == "HEAD" else method)

    @property
    def is_of_profile(self) -> bool:
        return "{profile}" in self.path


class Routes:
    """All addresses there are."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._fixed = {route.path: route for route in self.all if "{" not in route.path}
        self._open = [_Pattern(route) for route in self.all if "{" in route.path]

    def find(self, path: str) -> tuple[Route, str] | None:
        """The route of a path as it came over the wire, and the value of its braces."""
        route = self._fixed.get(path)
        if route is not None:
            return route, ""
        for pattern in self._open:
            value = pattern.value_in(path)
            if value:
                return pattern.route, value
        return None


class _Pattern:
    def __init__(self, route: Route) -> None:
        self.route = route
        self._before, _, rest = route.path.partition("{")
        self._after = rest.partition("}")[2]

    def value_in(self, path: str) -> str:
        if not (path.startswith(self._before) and path.endswith(self._after)):
            return ""
        raw = path[len(self._before) : len(path) - len(self._after)]
        if "/" in raw:
            return ""
        value = unquote(raw) if "%" in raw else raw
        return value if value.isprintable() and "/" not in value else ""
