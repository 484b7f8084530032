"""`/v1/status` and `/v1/calendars`: how every connection and calendar is doing, in words for their owner.

The scope `admin` shows everything of the connections that the token's profile uses, `details` only the calendars linked
to the profile; a token for all profiles sees all connections.
"""

from collections.abc import Iterable, Sequence
from typing import Final, Literal

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict

import busyd
from busyd.connection import ConnectionKind
from busyd.cooperative import apply, in_slices
from busyd.credentials.tokens import ALL_PROFILES
from busyd.flow.backend import Backend
from busyd.flow.link_views import LinkView
from busyd.flow.unsettled import UnsettledView
from busyd.flow.views import CalendarView, ConnectionView, ProblemView, ProfileView
from busyd.flow.webhook_views import WebhookView
from busyd.http import web
from busyd.http.auth import Caller
from busyd.http.bodies import (
    Calendar,
    Calendars,
    ConnectionStatus,
    LinkedCalendar,
    ProfileStatus,
    time_or_none,
)
from busyd.http.call import Call
from busyd.http.problem import HttpProblem, unknown_profile
from busyd.http.profiles import profile_body
from busyd.http.response import long_json_response
from busyd.http.status_bodies import DaemonStatus, Sharing, Status, StorageStatus, UnsettledAppointment, WebhookStatus
from busyd.period import to_rfc3339

PARAMETERS: Final = frozenset({"profile", "connection"})
UNUSED: Final = "unused"
"""The state of a feed that no profile names: it is never polled."""


class StatusHandler:
    """Tells what is linked and how it is doing."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_status(self, call: Call) -> web.StreamResponse:
        backend, caller = self._backend, call.caller
        profiles, connections = await self._wanted(call)
        calendars = {view.name: visible_calendars(view, caller) for view in connections}
        refused = backend.refused_configuration if caller.sees_all else ""

        def unsettled(view: ProfileView) -> list[UnsettledAppointment]:
            return [_unsettled(one) for one in backend.unsettled.of(view.name)]

        status = Status(
            version=busyd.__version__,
            now=to_rfc3339(backend.clock.now()),
            profiles=await in_slices(apply(lambda view: _profile(view, backend.links(view.name)), profiles)),
            connections=await in_slices(
                apply(lambda view: _connection(view, calendars[view.name], caller=caller), connections)
            ),
            problems=_problems_of(calendars.values(), backend.problems()),
            warnings=[f"profile {view.name}: {note}" for view in profiles for note in view.notes],
            appointments=[one for of_profile in await in_slices(apply(unsettled, profiles)) for one in of_profile],
            webhooks=[_webhook(view) for view in visible_webhooks(backend, caller) if _is_asked(view, call)],
            configuration=f"the last reload was refused: {refused}" if refused else UNSET,
            sharing=_sharing(backend, call),
            storage=_storage(backend, caller),
        )
        return await long_json_response(status, call.head)

    async def get_calendars(self, call: Call) -> web.StreamResponse:
        connections = await visible_connections(self._backend, call.caller)
        calendars = [_calendar(view) for one in connections for view in visible_calendars(one, call.caller)]
        lists = [f"{one.name}/{name}" for one in connections for name in _visible_reminders(one, call.caller)]
        return await long_json_response(Calendars(calendars, lists), call.head)

    async def _wanted(self, call: Call) -> tuple[list[ProfileView], list[ConnectionView]]:
        """What the caller may see of what is asked for: all, or what one profile or one connection has to do with.

        Raises HttpProblem.
        """
        backend, caller = self._backend, call.caller
        profile, connection = call.query.get("profile"), call.query.get("connection")
        connections = await visible_connections(backend, caller, profile=profile)
        if connection is not None:
            connections = [view for view in connections if view.name == connection]
            if not connections:
                raise _unknown_connection(connection)
        if profile is None:
            views = await backend.profiles(connection)
        else:
            view = backend.profile(profile)
            views = [view] if view is not None else []
        profiles = [view for view in views if caller.sees(view.name)]
        if profile is not None and not profiles:
            raise unknown_profile(profile)
        return profiles, connections


def _unknown_connection(name: str) -> HttpProblem:
    """The same for a connection that does not exist, for one that the profile does not use, and for a hidden one."""
    return HttpProblem(
        "unknown-connection",
        404,
        detail=f"there is no connection {name!r} that you may ask about",
        fix="GET /v1/status lists the connections you may ask about",
    )


async def visible_connections(backend: Backend, caller: Caller, *, profile: str | None = None) -> list[ConnectionView]:
    """The connections a caller may know of, all or those its profile names; with `profile` those that one uses."""
    return [
        view
        for view in await backend.connections(profile)
        if caller.sees_all or any(caller.sees(name) for name in view.profiles)
    ]


def visible_calendars(connection: ConnectionView, caller: Caller) -> list[CalendarView]:
    """The calendars of a visible connection that a caller may know of."""
    if caller.may("admin"):
        return list(connection.calendars)
    return [view for view in connection.calendars if any(caller.sees(profile) for profile in view.profiles)]


async def visible_problems(
    backend: Backend, caller: Caller, *, problems: Sequence[ProblemView] | None = None
) -> list[ProblemView]:
    """The problems of the calendars that a caller may know of: of these, or of all that are known at once."""
    connections = await visible_connections(backend, caller)
    visible = [visible_calendars(connection, caller) for connection in connections]
    return _problems_of(visible, backend.problems() if problems is None else problems)


def visible_webhooks(backend: Backend, caller: Caller) -> list[WebhookView]:
    """The webhooks that a caller may know of: those of the profiles that it sees, as an administrator."""
    if backend.webhooks is None or not caller.may("admin"):
        return []
    return [view for view in backend.webhooks.views() if caller.sees(view.profile)]


def _is_asked(view: WebhookView, call: Call) -> bool:
    """Whether a webhook has to do with what is asked about."""
    return call.query.get("profile", view.profile) in (view.profile, ALL_PROFILES) and "connection" not in call.query


def _webhook(view: WebhookView) -> WebhookStatus:
    return WebhookStatus(
        id=view.id,
        profile=view.profile,
        host=view.host,
        events=list(view.events),
        state=view.state,
        detail=view.detail,
        fix=view.fix,
        since=time_or_none(view.since),
        attempts=view.attempts,
        next_attempt=time_or_none(view.next_attempt),
        delivered=time_or_none(view.delivered),
        behind=view.behind,
    )


def _sharing(backend: Backend, call: Call) -> Sharing | UnsetType:
    """The daemons on the database: for an administrator of all profiles who asks about everything."""
    view, clock, caller = backend.sharing, backend.clock, call.caller
    if view is None or not (caller.sees_all and caller.may("admin")) or call.query.keys() & PARAMETERS:
        return UNSET
    daemons = [
        DaemonStatus(
            name=one.name,
            address=one.address,
            until=to_rfc3339(one.until),
            connections=one.connections,
            this=one.is_this,
            same_configuration=one.same_configuration,
        )
        for one in view.daemons
    ]
    behind = None if view.followed_at is None else int(clock.monotonic() - view.followed_at)
    return Sharing(daemons, behind, int(view.oldest_write), view.clock_ahead)


def _storage(backend: Backend, caller: Caller) -> StorageStatus | UnsetType:
    failure = backend.storage.lately(backend.clock.now())
    if failure is None or not (caller.sees_all and caller.may("admin")):
        return UNSET
    return StorageStatus(to_rfc3339(failure.at), failure.detail, failure.fix)


def _problems_of(calendars: Iterable[Sequence[CalendarView]], problems: Iterable[ProblemView]) -> list[ProblemView]:
    labels = {calendar.label for visible in calendars for calendar in visible}
    return [problem for problem in problems if problem.calendar in labels]


def _profile(view: ProfileView, links: list[LinkView]) -> ProfileStatus:
    """A profile with its calendars, those that were not found included: a misspelt name shows up here."""
    calendars = [
        LinkedCalendar(
            calendar=calendar.calendar,
            state=calendar.state,
            as_of=time_or_none(calendar.as_of),
            detail=calendar.detail,
        )
        for calendar in view.freshness.calendars
    ]
    return ProfileStatus(**asdict(profile_body(view)), calendars=calendars, links=links)


def _unsettled(view: UnsettledView) -> UnsettledAppointment:
    return UnsettledAppointment(
        profile=view.profile,
        appointment=view.id,
        start=to_rfc3339(view.span.start),
        end=to_rfc3339(view.span.end),
        state=view.state,
        reason=view.reason,
        created=to_rfc3339(view.created),
        detail=view.detail,
        fix=view.fix,
    )


def _visible_reminders(connection: ConnectionView, caller: Caller) -> tuple[str, ...]:
    """The reminders lists of a visible connection: for whoever may know of calendars that no profile names, too."""
    return connection.reminders if caller.may("admin") else ()


def _connection(view: ConnectionView, calendars: Sequence[CalendarView], *, caller: Caller) -> ConnectionStatus:
    state, detail = _state_of(view)
    return ConnectionStatus(
        name=view.name,
        kind=view.kind,
        state=state,
        detail=detail,
        code=view.code,
        since=time_or_none(view.trouble_since),
        last_poll=time_or_none(view.last_poll),
        next_poll=None if state == UNUSED else time_or_none(view.next_poll),
        requests=view.requests,
        calendars=[_calendar(calendar) for calendar in calendars],
        reminders=_visible_reminders(view, caller),
        owner=view.owner if view.owner and caller.may("admin") else UNSET,
    )


def _calendar(view: CalendarView) -> Calendar:
    return Calendar(
        calendar=view.label,
        connection=view.connection,
        name=view.name,
        id=view.id,
        href=view.href,
        kind=view.kind,
        writable=view.writable,
        transparent=view.transparent,
        linked=bool(view.profiles),
        state=_state_of_calendar(view),
        as_of=time_or_none(view.as_of),
        detail="; ".join(filter(None, (view.trouble, view.note, view.uncounted))),
        note=view.note,
    )


def _state_of(view: ConnectionView) -> tuple[Literal["ok", "trouble", "not-app-specific", "starting", "unused"], str]:
    """How a connection is doing, in a word, and what there is to say about it."""
    if view.has_other_password:
        return "not-app-specific", view.trouble
    if view.trouble:
        return "trouble", view.trouble
    is_used = any(calendar.profiles for calendar in view.calendars)
    if view.kind is ConnectionKind.ICS and not is_used:
        return UNUSED, "no profile uses this feed, so it is not polled"
    return ("starting" if view.last_poll is None else "ok"), view.partial


def _state_of_calendar(view: CalendarView) -> Literal["missing", "not-linked", "read", "never-read"]:
    if view.is_missing:
        return "missing"
    if not view.profiles:
        return "not-linked"
    return "read" if view.is_complete else "never-read"
