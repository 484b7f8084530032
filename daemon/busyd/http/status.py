"""`/v1/status` and `/v1/calendars`: how it goes with every connection and calendar, in words for their owner.

The scope `admin` shows everything of the connections that the token's profile uses, `details` only the calendars linked
to the profile; a token of all profiles sees all connections.
"""

from typing import Any, Final

from aiohttp import web

import busyd
from busyd.connection import CalendarKind, ConnectionKind, RemoteCalendar
from busyd.http.auth import Caller
from busyd.http.facade import Backend
from busyd.http.profiles import ProfilesHandler
from busyd.http.response import json_response
from busyd.http.routes import Call
from busyd.period import to_rfc3339
from busyd.state.state import ConnectionState, State
from busyd.store.mirror import CalendarRecord

UNUSED: Final = "unused"
"""The state of a feed that no profile names: it is never asked."""


class StatusHandler:
    """Tells what is linked and how it goes."""

    def __init__(self, backend: Backend, profiles: ProfilesHandler) -> None:
        self._backend = backend
        self._profiles = profiles

    async def get_status(self, call: Call) -> web.StreamResponse:
        state = self._backend.state
        calendars = visible_calendars(state, call.caller)
        labels = {record.label: record.remote for record in calendars}
        connections = [
            self._connection(profile_state, [record for record in calendars if record.connection == name])
            for name, profile_state in state.connections.items()
            if name in visible_connections(state, call.caller)
        ]
        profiles = [
            {**self._profiles.view(profile_state), "calendars": self._links(name)}
            for name, profile_state in state.profiles.items()
            if call.caller.sees(name)
        ]
        problems = [
            {
                "calendar": one.calendar,
                "href": _without_address(one.href, labels[one.calendar]),
                "uid": one.uid,
                "kind": one.kind,
                "reason": one.reason,
            }
            for one in self._backend.problems()
            if one.calendar in labels
        ]
        answer = {
            "version": busyd.__version__,
            "now": to_rfc3339(self._backend.clock.now()),
            "profiles": profiles,
            "connections": connections,
            "problems": problems,
        }
        if state.refused_configuration and call.caller.sees_all:
            answer["configuration"] = f"the last reload was refused: {state.refused_configuration}"
        return await json_response(answer, call.head)

    async def get_calendars(self, call: Call) -> web.StreamResponse:
        state = self._backend.state
        records = visible_calendars(state, call.caller)
        return await json_response({"calendars": [self._calendar(state, record) for record in records]}, call.head)

    def _links(self, name: str) -> list[dict[str, Any]]:
        """The calendars of a profile, those that were not found included: a typing error shows up here."""
        state = self._backend.state
        profile_state = state.profiles[name]
        rendered = self._profiles.freshness_of(profile_state)
        return [
            {
                "calendar": calendar.calendar,
                "state": calendar.state.value,
                "as_of": _time(calendar.as_of),
                "detail": calendar.detail,
            }
            for calendar in rendered.calendars
        ]

    def _connection(self, connection_state: ConnectionState, records: list[CalendarRecord]) -> dict[str, Any]:
        connection = connection_state.connection
        word, detail = _condition(connection_state, self._backend.state)
        return {
            "name": connection.name,
            "kind": connection.kind.value,
            "state": word,
            "detail": detail,
            "since": _time(connection_state.trouble_since),
            "last_poll": _time(connection_state.last_poll),
            "next_poll": None if word == UNUSED else _time(connection_state.next_poll),
            "requests": connection_state.requests,
            "calendars": [self._calendar(self._backend.state, record) for record in records],
        }

    def _calendar(self, state: State, record: CalendarRecord) -> dict[str, Any]:
        connection_state = state.connections.get(record.connection)
        trouble = connection_state.calendar_trouble.get(record.id, "") if connection_state is not None else ""
        note = state.note_about(record.id)
        return {
            "calendar": record.label,
            "connection": record.connection,
            "name": record.remote.name,
            "id": record.remote.id,
            "href": record.remote.shown_href,
            "kind": record.remote.kind.value,
            "writable": record.remote.writable,
            "transparent": record.remote.transparent,
            "linked": bool(state.zones_of(record.id)),
            "state": _word(state, record),
            "as_of": _time(record.as_of),
            "detail": "; ".join(filter(None, (trouble, note))),
            "note": note,
        }


def visible_connections(state: State, caller: Caller) -> set[str]:
    """The connections a caller may know of: all, or those its profile is linked to."""
    if caller.sees_all:
        return set(state.connections)
    names = set()
    for name, profile_state in state.profiles.items():
        if caller.sees(name):
            profile = profile_state.profile
            named = [*profile.conflicts, *([profile.primary] if profile.primary is not None else [])]
            names |= {reference.connection for reference in named}
    return names & set(state.connections)


def visible_calendars(state: State, caller: Caller) -> list[CalendarRecord]:
    """The calendars a caller may know of."""
    connections = visible_connections(state, caller)
    records = [record for record in state.calendars.values() if record.connection in connections]
    if caller.may("admin"):
        return records
    linked = {
        link.calendar
        for name, profile_state in state.profiles.items()
        if caller.sees(name)
        for link in profile_state.links
    }
    return [record for record in records if record.id in linked]


def _condition(connection_state: ConnectionState, state: State) -> tuple[str, str]:
    """How a connection is, in a word, and what there is to say about it."""
    if connection_state.trouble:
        return "trouble", connection_state.trouble
    if connection_state.connection.kind is ConnectionKind.ICS and not state.linked_calendars(
        connection_state.connection.name
    ):
        return UNUSED, "no profile uses this feed, so it is not read"
    return ("starting" if connection_state.last_poll is None else "ok"), ""


def _without_address(href: str, calendar: RemoteCalendar) -> str:
    """The href of an object without the secret address of the feed it may begin with."""
    return href.replace(calendar.href, calendar.shown_href) if calendar.kind is CalendarKind.FEED else href


def _word(state: State, record: CalendarRecord) -> str:
    if record.missing_since is not None:
        return "missing"
    if not state.zones_of(record.id):
        return "not-linked"
    return "read" if record.complete else "never-read"


def _time(instant: int | None) -> str | None:
    return to_rfc3339(instant) if instant is not None else None
