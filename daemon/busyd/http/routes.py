"""The API: which path means what, who may ask for it, and which handler answers. And the router that finds it.

The router is a look into a dict, for paths with variables after they were split: a third of the cost of aiohttp's.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final
from urllib.parse import unquote

from msgspec import Struct, field

from busyd.flow.backend import Backend
from busyd.http import appointments, blocks, changes, explain, freebusy, group_slots, holds, slots
from busyd.http.appointments import AppointmentsHandler
from busyd.http.auth import Authenticator
from busyd.http.blocks import BlocksHandler
from busyd.http.caldav.paths import CaldavHandler, collections, discovery
from busyd.http.call import Handler
from busyd.http.changes import ChangesHandler
from busyd.http.explain import ExplainHandler
from busyd.http.feed import FeedHandler
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.group_slots import GroupSlotsHandler
from busyd.http.health import HealthHandler
from busyd.http.holds import HoldsHandler
from busyd.http.login import LoginHandler
from busyd.http.metrics import Metrics
from busyd.http.openapi import OpenApiHandler
from busyd.http.page import PageHandler
from busyd.http.problems import ProblemsHandler
from busyd.http.profiles import ProfilesHandler
from busyd.http.reload import ReloadHandler
from busyd.http.settings import EndpointSettings
from busyd.http.slots import SlotsHandler
from busyd.http.status import PARAMETERS as STATUS_PARAMETERS
from busyd.http.status import StatusHandler
from busyd.http.streams import EventStreams
from busyd.http.sync import SyncHandler
from busyd.http.tokens import TokensHandler

NO_PARAMETERS: Final[frozenset[str]] = frozenset()
_FREEBUSY: Final = frozenset({"freebusy"})
_BOOK: Final = frozenset({"book"})
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
    login: bool = False
    """Whoever may see nothing is answered all the same: the page then offers a login."""
    public: bool = False
    """No token is looked for: the path itself is the secret, or the bytes are the same for everybody."""
    parameters: frozenset[str] = NO_PARAMETERS
    writes_parameters: Mapping[str, frozenset[str]] = {}
    """Method that changes something -> its parameters; those that are not here take none."""
    dav: Mapping[str, Handler] = field(default_factory=dict)
    """Methods of the CalDAV server: they need a token everywhere, and take it as the password of HTTP Basic."""
    ignores_parameters: bool = False
    """Any query is accepted: calendar apps add numbers of their own to get around caches."""

    @property
    def allow(self) -> str:
        """The value of the Allow field (RFC 9110 §10.2.1)."""
        methods = {*self.methods, *self.dav, "OPTIONS"}
        return ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))

    def is_dav(self, method: str) -> bool:
        """Whether the CalDAV server answers."""
        return ("GET" if method == "HEAD" else method) in self.dav

    def parameters_of(self, method: str) -> frozenset[str]:
        """The parameters that a request with this method may have."""
        if method in ("GET", "HEAD"):
            return self.parameters
        return self.writes_parameters.get(method, NO_PARAMETERS)

    def handler(self, method: str) -> Handler | None:
        name = "GET" if method == "HEAD" else method
        return self.methods.get(name) or self.dav.get(name)


class Match(Struct, frozen=True):
    """The route of a path, and the values of its variables."""

    route: Route
    values: Mapping[str, str]


class Routes:
    """All routes."""

    def __init__(self, routes: Iterable[Route], dav: Iterable[Route] = ()) -> None:
        """`dav` are routes of the CalDAV server alone, which OpenAPI cannot describe."""
        self.all = tuple(routes)
        known = (*self.all, *dav)
        self._fixed = {route.path: Match(route, {}) for route in known if "{" not in route.path}
        self._shapes: dict[int, list[_Shape]] = {}
        """By number of segments."""
        for route in known:
            if "{" in route.path:
                self._add(route)

    def find(self, path: str) -> Match | None:
        """The route of a path as it came over the wire, still percent-encoded."""
        match = self._fixed.get(path)
        if match is not None:
            return match
        segments = path.split("/")
        for shape in self._shapes.get(len(segments), ()):
            for pattern in shape.patterns.get(shape.literals_of(segments), ()):
                values = pattern.values_in(segments)
                if values is not None:
                    return Match(pattern.route, values)
        return None

    def _add(self, route: Route) -> None:
        segments = route.path.split("/")
        fixed = tuple(position for position, segment in enumerate(segments) if not segment.startswith("{"))
        shapes = self._shapes.setdefault(len(segments), [])
        shape = next((shape for shape in shapes if shape.fixed == fixed), None)
        if shape is None:
            shape = _Shape(fixed, itemgetter(*fixed))
            shapes.append(shape)
        variables = tuple(
            _variable(position, segment) for position, segment in enumerate(segments) if position not in fixed
        )
        shape.patterns.setdefault(shape.literals_of(segments), []).append(_Pattern(route, variables))


class _Variable(Struct, frozen=True):
    position: int
    """Which segment it is in."""
    name: str
    after: str
    """What must follow in the same segment."""


def _variable(position: int, segment: str) -> _Variable:
    name, _, after = segment[1:].partition("}")
    return _Variable(position, name, after)


class _Pattern(Struct, frozen=True):
    route: Route
    variables: tuple[_Variable, ...]

    def values_in(self, segments: list[str]) -> dict[str, str] | None:
        """The values of the variables, decoded; None when one has none that makes sense."""
        values = {}
        for variable in self.variables:
            value = segments[variable.position]
            if variable.after:
                if not value.endswith(variable.after):
                    return None
                value = value[: -len(variable.after)]
            if "%" in value:
                value = unquote(value)
            if not value or "/" in value or not value.isprintable():
                return None
            values[variable.name] = value
        return values


class _Shape(Struct, frozen=True):
    """Patterns with variables in the same segments: one look into a dict tells which of them a path fits."""

    fixed: tuple[int, ...]
    """The segments without variables; the empty one before the first slash is always among them."""
    literals_of: Callable[[list[str]], object]
    """Takes these segments out of a path."""
    patterns: dict[object, list[_Pattern]] = field(default_factory=dict)


class Handlers(Struct, frozen=True):
    """What the handlers share."""

    backend: Backend
    auth: Authenticator
    freebusy: FreeBusyHandler
    metrics: Metrics
    settings: EndpointSettings
    streams: EventStreams


def api_routes(handlers: Handlers) -> Routes:
    """Every path of the API with its handler."""
    backend, asked, body_seconds = handlers.backend, handlers.freebusy, handlers.settings.limits.body_seconds
    health, status, page = HealthHandler(backend), StatusHandler(backend), PageHandler(backend)
    sync = SyncHandler(backend, body_seconds=body_seconds)
    reload = ReloadHandler(backend, body_seconds=body_seconds)
    problems = ProblemsHandler(backend, body_seconds=body_seconds)
    held = HoldsHandler(backend, body_seconds=body_seconds)
    booked = AppointmentsHandler(backend, body_seconds=body_seconds)
    made = BlocksHandler(backend, body_seconds=body_seconds)
    followed = ChangesHandler(backend, handlers.streams)
    caldav = CaldavHandler(backend, handlers.settings.limits).handle
    tokens = TokensHandler(backend, body_seconds=body_seconds)
    login = LoginHandler(backend, handlers.auth, body_seconds=body_seconds)
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
                "/v1/slots",
                {"GET": GroupSlotsHandler(backend).get_slots},
                _FREEBUSY,
                local=True,
                parameters=group_slots.PARAMETERS,
            ),
            Route(
                f"{profile}/explain",
                {"GET": ExplainHandler(backend).get_explain},
                _DETAILS,
                parameters=explain.PARAMETERS,
            ),
            Route(
                f"{profile}/blocks",
                {"GET": made.get_blocks, "POST": made.post_block},
                _BOOK,
                parameters=blocks.LIST_PARAMETERS,
            ),
            Route(
                f"{profile}/blocks/{{block}}",
                {"GET": made.get_block, "PATCH": made.patch_block, "DELETE": made.delete_block},
                _BOOK,
                writes_parameters={"DELETE": blocks.CANCEL_PARAMETERS},
            ),
            Route(
                f"{profile}/changes",
                {"GET": followed.get_of_profile},
                _FREEBUSY | _DETAILS | _ADMIN,
                parameters=changes.OF_PROFILE,
            ),
            Route(
                "/v1/changes",
                {"GET": followed.get_of_several},
                _FREEBUSY | _DETAILS | _ADMIN,
                parameters=changes.OF_SEVERAL,
            ),
            Route(
                f"{profile}/holds",
                {"GET": held.get_holds, "POST": held.post_hold},
                _BOOK,
                parameters=holds.LIST_PARAMETERS,
            ),
            Route(
                f"{profile}/appointments",
                {"GET": booked.get_appointments, "POST": booked.post_appointment},
                _BOOK,
                parameters=appointments.LIST_PARAMETERS,
            ),
            Route(
                f"{profile}/appointments/{{appointment}}",
                {
                    "GET": booked.get_appointment,
                    "PATCH": booked.patch_appointment,
                    "DELETE": booked.delete_appointment,
                },
                _BOOK,
                writes_parameters={"DELETE": appointments.CANCEL_PARAMETERS},
            ),
            Route(f"{profile}/holds/{{hold}}", {"GET": held.get_hold, "DELETE": held.delete_hold}, _BOOK),
            Route("/v1/status", {"GET": status.get_status}, _ADMIN | _DETAILS, parameters=STATUS_PARAMETERS),
            Route("/v1/calendars", {"GET": status.get_calendars}, _ADMIN),
            Route("/v1/problems", {"GET": problems.get_problems}, _ADMIN),
            Route("/v1/problems/{problem}/accept", {"POST": problems.post_accept}, _ADMIN),
            Route("/v1/problems/{problem}/withdraw", {"POST": problems.post_withdraw}, _ADMIN),
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
            Route("/v1/tokens", {"GET": tokens.get_tokens, "POST": tokens.post_token}, _ADMIN),
            Route("/v1/tokens/{token}", {"DELETE": tokens.delete_token}, _ADMIN),
            Route("/v1/logins", {"POST": login.post_once}, _ADMIN),
            Route("/login", {"GET": login.get_login, "POST": login.post_login}, public=True),
            Route("/logout", {"POST": login.post_logout}, public=True),
            Route("/", {"GET": page.get_page}, local=True, navigable=True, login=True, dav=discovery(caldav)),
            Route("/page/{file}", {"GET": page.get_file}, public=True),
        ],
        [Route(path, {}, dav=methods) for path, methods in collections(caldav).items()],
    )
