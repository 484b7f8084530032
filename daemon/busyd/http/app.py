"""All handlers together, and the one wrapper around every request: authenticate, answer or refuse, count.

There is no chain of middlewares: what must hold for every answer is in `Endpoint.handle`, once.
"""

import asyncio
import logging
import time
from typing import cast

from busyd.errors import BusydError, DataError, UserError
from busyd.flow.ask import Unanswerable
from busyd.flow.backend import Backend
from busyd.flow.requests import KeyMismatch, UnknownBooking
from busyd.http import web
from busyd.http.auth import HERE, Authenticator, Caller, login_ended, login_needed, login_refused, scope_missing
from busyd.http.booking_problems import booking_problem
from busyd.http.call import Call
from busyd.http.changes import EVENTS
from busyd.http.connections import ClientConnection, CountingServer, Gate
from busyd.http.cors import allow_origin, preflight
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.metrics import Metrics
from busyd.http.problem import (
    HttpProblem,
    bad_request,
    cross_site,
    key_mismatch,
    no_connection,
    not_answered,
    not_stored,
    unknown_profile,
)
from busyd.http.query import parse_query
from busyd.http.request_body import BodyTooLarge, compressed_body
from busyd.http.request_headers import Fault, RequestHeaders
from busyd.http.response import Date
from busyd.http.router import Match
from busyd.http.routes import Handlers, api_routes
from busyd.http.settings import EndpointSettings
from busyd.http.streams import EventStreams
from busyd.period import Instant

logger = logging.getLogger(__name__)

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def build_app(backend: Backend, settings: EndpointSettings) -> "Endpoint":
    """The HTTP side of a backend. `listeners.start_listeners` makes it reachable."""
    return Endpoint(backend, settings)


class Endpoint:
    """Answers requests."""

    def __init__(self, backend: Backend, settings: EndpointSettings) -> None:
        self.settings = settings
        self.gate = Gate(settings)
        self.auth = Authenticator(backend.tokens, backend.clock, limits=settings.limits)
        self.freebusy = FreeBusyHandler(backend)
        self.metrics = Metrics(backend, self.gate)
        self.streams = EventStreams(backend.changes, backend.tokens, gate=self.gate, clock=backend.clock)
        self.routes = api_routes(
            Handlers(
                backend=backend,
                auth=self.auth,
                freebusy=self.freebusy,
                metrics=self.metrics,
                settings=settings,
                streams=self.streams,
            )
        )
        self._backend = backend
        self._date = Date()

    def take(self, settings: EndpointSettings) -> None:
        """Have other settings count from the next request on."""
        self.settings = settings
        self.gate.take(settings)

    def make_server(self) -> CountingServer:
        """What accepts the connections of listening sockets; needs a running loop."""
        limits = self.settings.limits
        return CountingServer(
            self.handle,
            self.gate,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=limits.idle_seconds,
            lingering_time=2.0,
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
        )

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Every request comes through here."""
        connection = cast(ClientConnection, request.protocol)
        began = connection.since = time.monotonic()
        connection.handling = True
        connection.served += 1
        name, origin = "none", ""
        try:
            listener = connection.listener
            head = listener.heads.get(request.raw_headers) or listener.read(request.raw_headers)
            origin = head.origin
            now = self._backend.clock.now()
            cached = self.freebusy.at_once(request.raw_path, now) if request.method == "GET" else None
            if cached is not None and self._may_have(cached.profile, head, connection=connection, now=now):
                name = "/v1/profiles/{profile}/freebusy"
                response: web.StreamResponse | None = cached.finished.serialized(request, head, date=self._date.at(now))
                if response is None:
                    response = await cached.finished.response(head)
            else:
                match = self._match(request, head)
                name = match.route.path
                response = await self._answer(request, connection, head=head, match=match)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except HttpProblem as problem:
            response = problem.response()
        except Exception as error:  # whatever it was, the client gets an answer
            response = self._problem_of(error).response()
        finally:
            connection.handling = False
        if origin:
            allow_origin(response, origin)
        connection.since = time.monotonic()
        is_stream = response.prepared and response.content_type == EVENTS  # it takes no time, it lasts
        self.metrics.count(name, status=response.status, seconds=0.0 if is_stream else connection.since - began)
        return response

    def _may_have(self, profile: str, head: RequestHeaders, *, connection: ClientConnection, now: Instant) -> bool:
        """Whether a cached answer may go to this caller at once. If not, the usual way finds out why."""
        if head.fault or head.coding or head.calendar or connection.reserved:
            return False
        if head.token is None:
            return head.local and not head.session
        caller = self.auth.remembered(head.token, now)
        return caller is not None and caller.sees(profile) and caller.may("freebusy")

    def _match(self, request: web.BaseRequest, head: RequestHeaders) -> Match:
        path = request.raw_path.partition("?")[0].partition("#")[0]
        if not path.startswith("/"):
            path = _origin_form(path, cast(ClientConnection, request.protocol))
        match = self.routes.find(path)
        is_for_later = head.fault == Fault.TOO_LARGE and match is not None and match.route.is_dav(request.method)
        if head.fault and not is_for_later:  # the CalDAV handler has a precondition for it
            raise _refusal(head.fault)
        if match is None:
            raise HttpProblem(
                "not-found", 404, detail="there is nothing at this address", fix="GET /openapi.json lists every address"
            )
        return match

    async def _answer(
        self, request: web.BaseRequest, connection: ClientConnection, *, head: RequestHeaders, match: Match
    ) -> web.StreamResponse:
        method, route = request.method, match.route
        handler = route.handler(method)
        if method == "OPTIONS" and handler is None:
            return preflight(route.allow, head)
        if handler is None:
            raise HttpProblem(
                "method-not-allowed",
                405,
                detail=f"this address does not support {method}",
                fix=f"it supports {route.allow}",
                headers={"Allow": route.allow},
            )
        if head.coding and not route.is_dav(method):
            raise compressed_body()
        if head.cross_site and method not in _SAFE:
            raise cross_site()
        client = head.client or connection.client
        caller = await self._caller_of(head, match, client=client, method=method)
        if connection.reserved and not self.auth.has_succeeded(caller):
            raise _too_many_connections()
        query_text = request.raw_path.partition("?")[2].partition("#")[0]
        query = (
            parse_query(query_text, route.parameters_of(method)) if query_text and not route.ignores_parameters else {}
        )
        return await handler(Call(request, head, caller, query, match.values, client))

    async def _caller_of(self, head: RequestHeaders, match: Match, *, client: str, method: str) -> Caller:
        """Who asks. Raises HttpProblem when they may not."""
        route, basic = match.route, match.route.is_dav(method)
        if route.public:
            return Caller(None)
        if head.token is None and not basic and (head.session or route.login):
            return await self._caller_on_page(head, match, method=method)
        if head.token is None and route.navigable and head.here and not basic:
            return HERE
        caller = await self.auth.caller_of(head, self._backend.clock.now(), basic=basic, scopes=route.scopes)
        if caller is None:
            await self.auth.throttle(client)
            raise login_refused(basic=basic)
        if caller.token is None and (basic or not route.local):
            raise login_needed(basic=basic, scopes=route.scopes)
        return self._entitled(caller, match)

    async def _caller_on_page(self, head: RequestHeaders, match: Match, *, method: str) -> Caller:
        """Who asks in a browser, where the page is asked for, or with its cookie. Raises HttpProblem."""
        route = match.route
        if head.session:
            caller = await self.auth.holder_of_session(head.session, self._backend.clock.now())
            if caller is not None and method not in _SAFE and not head.own_page:
                raise cross_site()
            if caller is None and not route.login:
                raise login_ended()
            return self._entitled(caller or Caller(None), match)
        return HERE if head.local or (route.navigable and head.here) else Caller(None)

    def _entitled(self, caller: Caller, match: Match) -> Caller:
        """The caller, if it may ask for this. Raises HttpProblem."""
        route, profile = match.route, match.values.get("profile")
        if profile is not None and not self._backend.is_connected:
            raise no_connection()
        if profile is not None and not (caller.sees(profile) and self._backend.profile(profile) is not None):
            raise unknown_profile(profile)
        if route.scopes and caller.token is not None and not caller.token.scopes & route.scopes:
            raise scope_missing(route.scopes)
        return caller

    def _problem_of(self, error: Exception) -> HttpProblem:
        """What a client is told about an error that is not an HttpProblem."""
        if isinstance(error, Unanswerable):
            return not_answered(error)
        if isinstance(error, KeyMismatch):
            return key_mismatch()
        if isinstance(error, UnknownBooking):
            return HttpProblem("unknown-booking", 404, detail=str(error), fix=error.fix)
        if isinstance(error, BusydError) and (problem := booking_problem(error)) is not None:
            return problem
        if isinstance(error, UserError):
            return bad_request(str(error), fix=error.fix)
        if isinstance(error, BusydError) and not isinstance(error, DataError):
            failure = self._backend.storage.note(error, now=self._backend.clock.now())
            logger.warning("a request failed: %s", error)
            if failure is not None:
                return not_stored(is_full=failure.is_full)
            return HttpProblem(
                "unavailable",
                503,
                detail="this is not possible at the moment",
                fix="GET /v1/status says why; the log of busyd has the details",
            )
        if isinstance(error, web.HTTPException):
            return bad_request("the request cannot be understood", fix="GET /openapi.json describes all requests")
        return self.gate.crashes.take(error, asyncio.get_running_loop().time())


def _origin_form(target: str, connection: ClientConnection) -> str:
    """The path of a request in absolute form (RFC 9112 §3.2.2), whose host counts as much as the Host field's."""
    scheme, separator, rest = target.partition("://")
    authority, slash, path = rest.partition("/")
    if not separator or scheme.lower() not in ("http", "https"):
        raise bad_request("the request has no path", fix="send a path that begins with a slash")
    if not connection.listener.answers_for(authority):
        raise _refusal(Fault.MISDIRECTED)
    return slash + path or "/"


def _refusal(fault: str) -> HttpProblem:
    if fault == Fault.MISDIRECTED:
        return HttpProblem(
            "misdirected",
            421,
            detail="busyd does not answer for this host name",
            fix="use an address that busyd listens on, or add the name to `hosts:` in the configuration",
        )
    if fault == Fault.TOO_LARGE:
        return BodyTooLarge()
    return bad_request(
        "a header field that must not be repeated is there twice",
        fix="send Host, Authorization, Origin, Content-Length and Content-Encoding once each",
    )


def _too_many_connections() -> HttpProblem:
    return HttpProblem(
        "too-many-connections",
        503,
        detail="there are too many connections; the last ones are reserved for tokens that were used before",
        fix="try again in five seconds",
        headers={"Retry-After": "5", "Connection": "close"},
    )
