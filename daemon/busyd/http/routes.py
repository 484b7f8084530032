"""The API: which path means what, who may ask for it, and which handler answers. And the router that finds it.

The router is a dict for paths without variables, and a comparison of segments for the others: a tenth of the cost of a
general one, which pays for tokens and ETags.
"""

from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import unquote

from msgspec import Struct

from busyd.flow.backend import Backend
from busyd.http import explain, freebusy, slots
from busyd.http.auth import Authenticator
from busyd.http.call import Handler
from busyd.http.explain import ExplainHandler
from busyd.http.feed import FeedHandler
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.health import HealthHandler
from busyd.http.metrics import Metrics
from busyd.http.openapi import OpenApiHandler
from busyd.http.page import PageHandler
from busyd.http.profiles import ProfilesHandler
from busyd.http.reload import ReloadHandler
from busyd.http.settings import EndpointSettings
from busyd.http.slots import SlotsHandler
from busyd.http.status import StatusHandler
from busyd.http.sync import SyncHandler

NO_PARAMETERS: Final[frozenset[str]] = frozenset()
_FREEBUSY: Final = frozenset({"freebusy"})
_DETAILS: Final = frozenset({"details"})
_ADMIN: Final = frozenset({"admin"})


class Route(Struct, frozen=True):
    """A path. A variable in braces stands for one segment, or for the beginning of one: `/feeds/{token}.ics`."""

    path: str
    methods: Mapping[str, Handler]
    scopes: frozenset[str] = frozenset()
    """One of them is needed; none: any token will do."""
    local: bool = False
    """Requests from this machine need no token."""
    navigable: bool = False
    """The same bytes for everybody: on this machine also after a click on a link on another site."""
    public: bool = False
    """The path itself is the secret; no other token is looked for."""
    parameters: frozenset[str] = NO_PARAMETERS
    ignores_parameters: bool = False
    """Any query is accepted: calendar apps add numbers of their own to get around caches."""

    @property
    def allow(self) -> str:
        """The value of the Allow field (RFC 9110 §10.2.1)."""
        methods = {*self.methods, "OPTIONS"} | ({"HEAD"} if "GET" in self.methods else set())
        return ", ".join(sorted(methods))

    def handler(self, method: str) -> Handler | None:
        return self.methods.get("GET" if method == "HEAD" else method)


class Match(Struct, frozen=True):
    """The route of a path, and the values of its variables."""

    route: Route
    values: Mapping[str, str]


class Routes:
    """All routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.all = tuple(routes)
        self._fixed = {route.path: Match(route, {}) for route in self.all if "{" not in route.path}
        self._patterns: dict[int, list[_Pattern]] = {}
        """By number of segments."""
        for route in self.all:
            if "{" in route.path:
                pattern = _Pattern(route)
                self._patterns.setdefault(len(pattern.segments), []).append(pattern)

    def find(self, path: str) -> Match | None:
        """The route of a path as it came over the wire, still percent-encoded."""
        match = self._fixed.get(path)
        if match is not None:
            return match
        segments = path.split("/")
        for pattern in self._patterns.get(len(segments), ()):
            values = pattern.values_in(segments)
            if values is not None:
                return Match(pattern.route, values)
        return None


class _Variable(Struct, frozen=True):
    name: str
    after: str
    """What must follow in the same segment."""


class _Pattern:
    def __init__(self, route: Route) -> None:
        self.route = route
        self.segments = [_segment(text) for text in route.path.split("/")]

    def values_in(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the variables, decoded; None when the path does not match."""
        values = {}
        for expected, text in zip(self.segments, segments, strict=True):
            if isinstance(expected, str):
                if text != expected:
                    return None
                continue
            value = text.removesuffix(expected.after) if expected.after else text
            if expected.after and value == text:
                return None
            value = unquote(value) if "%" in value else value
            if not value or not value.isprintable() or "/" in value:
                return None
            values[expected.name] = value
        return values


def _segment(text: str) -> str | _Variable:
    if not text.startswith("{"):
        return text
    name, _, after = text[1:].partition("}")
    return _Variable(name, after)


class Handlers(Struct, frozen=True):
    """What the handlers share."""

    backend: Backend
    auth: Authenticator
    freebusy: FreeBusyHandler
    metrics: Metrics
    settings: EndpointSettings


def api_routes(handlers: Handlers) -> Routes:
    """Every path of the API with its handler."""
    backend, asked, body_seconds = handlers.backend, handlers.freebusy, handlers.settings.limits.body_seconds
    health, status, page = HealthHandler(backend), StatusHandler(backend), PageHandler()
    sync = SyncHandler(backend, body_seconds=body_seconds)
    reload = ReloadHandler(backend, body_seconds=body_seconds)
    profile = "/v1/profiles/{profile}"
    times = freebusy.PARAMETERS
    return Routes(
        [
            Route("/v1/profiles", {"GET": ProfilesHandler(backend).get_profiles}, _FREEBUSY, local=True),
            Route(f"{profile}/freebusy", {"GET": asked.get_freebusy}, _FREEBUSY, local=True, parameters=times),
            Route(f"{profile}/freebusy.ifb", {"GET": asked.get_ifb}, _FREEBUSY, local=True, parameters=times),
            Route(
                f"{profile}/slots",
                {"GET": SlotsHandler(backend).get_slots},
                _FREEBUSY,
                local=True,
                parameters=slots.PARAMETERS,
            ),
            Route(
                f"{profile}/explain",
                {"GET": ExplainHandler(backend).get_explain},
                _DETAILS,
                parameters=explain.PARAMETERS,
            ),
            Route("/v1/status", {"GET": status.get_status}, _ADMIN | _DETAILS),
            Route("/v1/calendars", {"GET": status.get_calendars}, _ADMIN),
            Route("/v1/sync", {"POST": sync.post_sync}, _ADMIN),
            Route("/v1/reload", {"POST": reload.post_reload}, _ADMIN),
            Route(
                "/feeds/{token}.ics",
                {"GET": FeedHandler(backend, handlers.auth).get_feed},
                public=True,
                ignores_parameters=True,
            ),
            Route("/healthz", {"GET": health.get_healthz}, local=True, navigable=True),
            Route("/readyz", {"GET": health.get_readyz}, local=True),
            Route("/metrics", {"GET": handlers.metrics.get_metrics}, _ADMIN, local=True),
            Route("/openapi.json", {"GET": OpenApiHandler().get_openapi}),
            Route("/", {"GET": page.get_html}, local=True, navigable=True),
            Route("/style.css", {"GET": page.get_css}, local=True, navigable=True),
            Route("/page.js", {"GET": page.get_js}, local=True, navigable=True),
        ]
    )
