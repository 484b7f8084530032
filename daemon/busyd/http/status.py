"""`/v1/status` and `/v1/calendars`: how it goes with every connection and calendar, in words for their owner.

The scope `admin` shows everything of the connections that the token's profile uses, `details` only the calendars linked
to the profile; a token of all profiles sees all connections.
"""

from typing import Any, Final

from aiohttp import web

import busyd
from busyd.connection import CalendarKind, ConnectionKind, RemoteCalendar
from busyd.http.auth import Caller
from busyd.http.facade import House
from busyd.http.profiles import ProfilesDoor
from busyd.http.response import json_reply
from busyd.http.routes import Call
from busyd.period import to_rfc3339
from busyd.state.state import ConnectionState, Register
from busyd.store.mirror import CalendarRecord

UNUSED: Final = "unused"
"""The state of a feed that no profile names: it is never asked."""


class StatusDoor:
    """Tells what is linked and how it goes."""

    def __init__(self, house: House, profiles: ProfilesDoor) -> None:
        self._house = house
        self._profiles = profiles

    async def get_status(self, call: Call) -> web.StreamResponse:
        register = self._house.register
        calendars = visible_calendars(register, call.caller)
        labels = {record.label: record.remote for record in calendars}
        connections = [
            self._connection(state, [record for record in calendars if record.connection == name])
            for name, state in register.connections.items()
            if name in visible_connections(register, call.caller)
        ]
        profiles = [
            {**self._profiles.view(state), "calendars": self._links(name)}
            for name, state in register.profiles.items()
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
            for one in self._house.problems()
            if one.calendar in labels
        ]
        answer = {
            "version": busyd.__version__,
            "now": to_rfc3339(self._house.clock.now()),
            "profiles": profiles,
            "connections": connections,
            "problems": problems,
        }
        if register.refused_configuration and call.caller.sees_all:
            answer["configuration"] = f"the last reload was refused: {register.refused_configuration}"
        return await json_reply(answer, call.head)

    async def get_calendars(self, call: Call) -> web.StreamResponse:
        register = self._house.register
        records = visible_calendars(register, call.caller)
        return await json_reply({"calendars": [self._calendar(register, record) for record in records]}, call.head)

    def _links(self, name: str) -> list[dict[str, Any]]:
        """The calendars of a profile, those that were not found included: a typing error shows up here."""
        register = self._house.register
        state = register.profiles[name]
        judged = self._profiles.standing_of(state)
        return [
            {
                "calendar": calendar.calendar,
                "state": calendar.state.value,
                "as_of": _time(calendar.as_of),
                "detail": calendar.detail,
            }
            for calendar in judged.calendars
        ]

    def _connection(self, state: ConnectionState, records: list[CalendarRecord]) -> dict[str, Any]:
        connection = state.connection
        word, detail = _condition(state, self._house.register)
        return {
            "name": connection.name,
            "kind": connection.kind.value,
            "state": word,
            "detail": detail,
            "since": _time(state.trouble_since),
            "last_poll": _time(state.last_poll),
            "next_poll": None if word == UNUSED else _time(state.next_poll),
            "requests": state.requests,
            "calendars": [self._calendar(self._house.register, record) for record in records],
        }

    def _calendar(self, register: Register, record: CalendarRecord) -> dict[str, Any]:
        state = register.connections.get(record.connection)
        trouble = state.calendar_trouble.get(record.id, "") if state is not None else ""
        note = register.note_about(record.id)
        return {
            "calendar": record.label,
            "connection": record.connection,
            "name": record.remote.name,
            "id": record.remote.id,
            "href": record.remote.shown_href,
            "kind": record.remote.kind.value,
            "writable": record.remote.writable,
            "transparent": record.remote.transparent,
            "linked": bool(register.zones_of(record.id)),
            "state": _word(register, record),
            "as_of": _time(record.as_of),
            "detail": "; ".join(filter(None, (trouble, note))),
            "note": note,
        }


def visible_connections(register: Register, caller: Caller) -> set[str]:
    """The connections a caller may know of: all, or those its profile is linked to."""
    if caller.sees_all:
        return set(register.connections)
    names = set()
    for name, state in register.profiles.items():
        if caller.sees(name):
            profile = state.profile
            named = [*profile.conflicts, *([profile.primary] if profile.primary is not None else [])]
            names |= {reference.connection for reference in named}
    return names & set(register.connections)


def visible_calendars(register: Register, caller: Caller) -> list[CalendarRecord]:
    """The calendars a caller may know of."""
    connections = visible_connections(register, caller)
    records = [record for record in register.calendars.values() if record.connection in connections]
    if caller.may("admin"):
        return records
    linked = {link.calendar for name, state in register.profiles.items() if caller.sees(name) for link in state.links}
    return [record for record in records if record.id in linked]


def _condition(state: ConnectionState, register: Register) -> tuple[str, str]:
    """How a connection is, in a word, and what there is to say about it."""
    if state.trouble:
        return "trouble", state.trouble
    if state.connection.kind is ConnectionKind.ICS and not register.linked_calendars(state.connection.name):
        return UNUSED, "no profile uses this feed, so it is not read"
    return ("starting" if state.last_poll is None else "ok"), ""


def _without_address(href: str, calendar: RemoteCalendar) -> str:
    """The href of an object without the secret address of the feed it may begin with."""
    return href.replace(calendar.href, calendar.shown_href) if calendar.kind is CalendarKind.FEED else href


def _word(register: Register, record: CalendarRecord) -> str:
    if record.missing_since is not None:
        return "missing"
    if not register.zones_of(record.id):
        return "not-linked"
    return "read" if record.complete else "never-read"


def _time(instant: int | None) -> str | None:
    return to_rfc3339(instant) if instant is not None else None
