"""Finds the route of a path: a look into a dict, for paths with variables after they were split.

A third of the cost of aiohttp's.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Final
from urllib.parse import unquote

from msgspec import Struct, field

from busyd.http.call import Handler

NO_PARAMETERS: Final[frozenset[str]] = frozenset()


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
