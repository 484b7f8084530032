"""The API: which path means what, who may ask for it, and which handler answers."""

from typing import Final

from msgspec import Struct

from busyd.flow.backend import Backend
from busyd.http import appointments, blocks, changes, explain, freebusy, group_slots, history, holds, slots
from busyd.http.appointments import AppointmentsHandler
from busyd.http.auth import Authenticator
from busyd.http.blocks import BlocksHandler
from busyd.http.caldav.paths import CaldavHandler, collections, discovery
from busyd.http.capabilities import CapabilitiesHandler
from busyd.http.changes import ChangesHandler
from busyd.http.explain import ExplainHandler
from busyd.http.feed import FeedHandler
from busyd.http.freebusy import FreeBusyHandler
from busyd.http.group_slots import GroupSlotsHandler
from busyd.http.health import HealthHandler
from busyd.http.history import HistoryHandler
from busyd.http.holds import HoldsHandler
from busyd.http.login import LoginHandler
from busyd.http.metrics import Metrics
from busyd.http.openapi import OpenApiHandler
from busyd.http.page import PageHandler
from busyd.http.problems import ProblemsHandler
from busyd.http.profiles import ProfilesHandler
from busyd.http.reload import ReloadHandler
from busyd.http.router import Route, Routes
from busyd.http.settings import EndpointSettings
from busyd.http.slots import SlotsHandler
from busyd.http.status import PARAMETERS as STATUS_PARAMETERS
from busyd.http.status import StatusHandler
from busyd.http.streams import EventStreams
from busyd.http.sync import SyncHandler
from busyd.http.tokens import TokensHandler

_FREEBUSY: Final = frozenset({"freebusy"})
_BOOK: Final = frozenset({"book"})
_DETAILS: Final = frozenset({"details"})
_ADMIN: Final = frozenset({"admin"})
_METRICS: Final = frozenset({"admin", "metrics"})


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
                f"{profile}/history",
                {"GET": HistoryHandler(backend).get_history},
                _FREEBUSY | _DETAILS,
                parameters=history.PARAMETERS,
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
                _FREEBUSY | _DETAILS | _BOOK | _ADMIN,
                parameters=changes.OF_PROFILE,
            ),
            Route(
                "/v1/changes",
                {"GET": followed.get_of_several},
                _FREEBUSY | _DETAILS | _BOOK | _ADMIN,
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
            Route("/v1/capabilities", {"GET": CapabilitiesHandler(backend).get_capabilities}),
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
            Route("/healthz", {"GET": health.get_healthz}, public=True),
            Route("/readyz", {"GET": health.get_readyz}, local=True),
            Route("/metrics", {"GET": handlers.metrics.get_metrics}, _METRICS, local=True),
            Route("/openapi.json", {"GET": OpenApiHandler().get_openapi}, public=True),
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
