"""Which listener opens at which address: the whole of the API on one page."""

from typing import Final

from msgspec import Struct

from busyd.http import explain, freebusy, slots
from busyd.http.auth import Authenticator
from busyd.http.explain import ExplainHandler
from busyd.http.facade import Backend
from busyd.http.feed import FeedHandler
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.health import HealthHandler
from busyd.http.metrics import Metrics
from busyd.http.openapi import OpenApiHandler
from busyd.http.page import PageHandler
from busyd.http.profiles import ProfilesHandler
from busyd.http.reload import ReloadHandler
from busyd.http.routes import Route, Routes
from busyd.http.settings import EndpointSettings
from busyd.http.slots import SlotsHandler
from busyd.http.status import StatusHandler
from busyd.http.sync import SyncHandler

_FREEBUSY: Final = frozenset({"freebusy"})
_DETAILS: Final = frozenset({"details"})
_ADMIN: Final = frozenset({"admin"})


class Handlers(Struct, frozen=True):
    """What all handlers are made from."""

    backend: Backend
    auth: Authenticator
    freebusy: FreeBusyHandler
    metrics: Metrics
    settings: EndpointSettings


def routes_of(handlers: Handlers) -> Routes:
    """Every address, who may ask it, and its handler."""
    backend, asked = handlers.backend, handlers.freebusy
    profiles, health = ProfilesHandler(backend, asked.freshness_cache), HealthHandler(backend, asked.freshness_cache)
    status = StatusHandler(backend, profiles)
    sync = SyncHandler(backend, body_seconds=handlers.settings.limits.body_seconds)
    reload = ReloadHandler(backend, body_seconds=handlers.settings.limits.body_seconds)
    page = PageHandler()
    one = "/v1/profiles/{profile}"
    return Routes(
        [
            Route("/v1/profiles", {"GET": profiles.get_profiles}, _FREEBUSY, local=True),
            Route(
                f"{one}/freebusy", {"GET": asked.get_freebusy}, _FREEBUSY, local=True, parameters=freebusy.PARAMETERS
            ),
            Route(f"{one}/freebusy.ifb", {"GET": asked.get_ifb}, _FREEBUSY, local=True, parameters=freebusy.PARAMETERS),
            Route(
                f"{one}/slots",
                {"GET": SlotsHandler(backend, asked).get_slots},
                _FREEBUSY,
                local=True,
                parameters=slots.PARAMETERS,
            ),
            Route(
                f"{one}/explain", {"GET": ExplainHandler(backend).get_explain}, _DETAILS, parameters=explain.PARAMETERS
            ),
            Route("/v1/status", {"GET": status.get_status}, _ADMIN | _DETAILS),
            Route("/v1/calendars", {"GET": status.get_calendars}, _ADMIN),
            Route("/v1/sync", {"POST": sync.post_sync}, _ADMIN),
            Route("/v1/reload", {"POST": reload.post_reload}, _ADMIN),
            Route(
                "/feeds/{token}.ics",
                {"GET": FeedHandler(backend, handlers.auth, asked).get_feed},
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
