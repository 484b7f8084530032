"""Which door opens at which address: the whole of the API on one page."""

from typing import Final

from msgspec import Struct

from busyd.http import explain, freebusy, slots
from busyd.http.auth import Guard
from busyd.http.explain import ExplainDoor
from busyd.http.facade import House
from busyd.http.feed import FeedDoor
from busyd.http.freebusy import FreeBusyDoor
from busyd.http.health import HealthDoor
from busyd.http.metrics import Metrics
from busyd.http.openapi import OpenApiDoor
from busyd.http.page import PageDoor
from busyd.http.profiles import ProfilesDoor
from busyd.http.reload import ReloadHandler
from busyd.http.routes import Route, Routes
from busyd.http.settings import EndpointSettings
from busyd.http.slots import SlotsDoor
from busyd.http.status import StatusDoor
from busyd.http.sync import SyncDoor

_FREEBUSY: Final = frozenset({"freebusy"})
_DETAILS: Final = frozenset({"details"})
_ADMIN: Final = frozenset({"admin"})


class Doors(Struct, frozen=True):
    """What all doors are made from."""

    house: House
    guard: Guard
    freebusy: FreeBusyDoor
    metrics: Metrics
    settings: EndpointSettings


def routes_of(doors: Doors) -> Routes:
    """Every address, who may ask it, and its handler."""
    house, asked = doors.house, doors.freebusy
    profiles, health = ProfilesDoor(house, asked.standings), HealthDoor(house, asked.standings)
    status = StatusDoor(house, profiles)
    sync = SyncDoor(house, body_seconds=doors.settings.limits.body_seconds)
    reload = ReloadHandler(house, body_seconds=doors.settings.limits.body_seconds)
    page = PageDoor()
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
                {"GET": SlotsDoor(house, asked).get_slots},
                _FREEBUSY,
                local=True,
                parameters=slots.PARAMETERS,
            ),
            Route(f"{one}/explain", {"GET": ExplainDoor(house).get_explain}, _DETAILS, parameters=explain.PARAMETERS),
            Route("/v1/status", {"GET": status.get_status}, _ADMIN | _DETAILS),
            Route("/v1/calendars", {"GET": status.get_calendars}, _ADMIN),
            Route("/v1/sync", {"POST": sync.post_sync}, _ADMIN),
            Route("/v1/reload", {"POST": reload.post_reload}, _ADMIN),
            Route(
                "/feeds/{token}.ics",
                {"GET": FeedDoor(house, doors.guard, asked).get_feed},
                public=True,
                ignores_parameters=True,
            ),
            Route("/healthz", {"GET": health.get_healthz}, local=True, navigable=True),
            Route("/readyz", {"GET": health.get_readyz}, local=True),
            Route("/metrics", {"GET": doors.metrics.get_metrics}, _ADMIN, local=True),
            Route("/openapi.json", {"GET": OpenApiDoor().get_openapi}),
            Route("/", {"GET": page.get_html}, local=True, navigable=True),
            Route("/style.css", {"GET": page.get_css}, local=True, navigable=True),
            Route("/page.js", {"GET": page.get_js}, local=True, navigable=True),
        ]
    )
