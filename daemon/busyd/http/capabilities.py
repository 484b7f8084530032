"""`GET /v1/capabilities`: what this installation reads, what it writes, and what it never stores.

The README has the same rows, and a test holds the two together: a row that is added here needs one there.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

import busyd
from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.call import Call
from busyd.http.response import json_response


class Direction(Struct, frozen=True):
    """One kind of data, and which way it goes."""

    direction: Literal["reads", "writes", "never stores"]
    what: str
    where: str
    """From where it is read, to where it is written, or what is kept in its place."""


class Capabilities(Struct, frozen=True):
    """What this installation does with data."""

    version: str
    kinds: list[Annotated[str, Meta(pattern="^(icloud|caldav|ics)$")]]
    """The kinds of connections that are configured."""
    directions: tuple[Direction, ...]


DIRECTIONS: Final = (
    Direction("reads", "events of linked calendars", "the account's CalDAV server, polled"),
    Direction("reads", "names, colours and access of all calendars", "the account's CalDAV server, polled"),
    Direction("reads", "subscribed calendars and ICS feeds", "their own addresses, polled"),
    Direction(
        "reads",
        "whether there is something in calendars that no profile names",
        "the account's CalDAV server, once a day and after a change; kept in memory only",
    ),
    Direction("writes", "appointments", "the profile's primary calendar, after a check of all that count"),
    Direction("writes", "the scratch calendar of `doctor --write`", "the account that is tested, and removed again"),
    Direction("writes", 'blocks with `"write": true`', "the calendar named by `blocks:`, else the primary"),
    Direction("writes", "other blocks, and holds", "the state directory of busyd, no calendar"),
    Direction("writes", "what becomes busy or free, without titles", "the receivers of webhooks, if you make any"),
    Direction("never stores", "reminders", "nothing: lists of them are named, and not read"),
    Direction("never stores", "events of calendars that no profile names", "nothing"),
    Direction(
        "never stores",
        "titles, places, texts, alarms and guests of a connection with `privacy: busy`",
        "only when its events are",
    ),
    Direction("never stores", "passwords in clear", "an encrypted store, or where you keep them"),
    Direction("never stores", "tokens", "their hashes"),
)


class CapabilitiesHandler:
    """Tells it."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_capabilities(self, call: Call) -> web.StreamResponse:
        connections = await self._backend.connections()
        kinds = sorted(
            {
                view.kind.value
                for view in connections
                if call.caller.sees_all or any(call.caller.sees(name) for name in view.profiles)
            }
        )
        return await json_response(Capabilities(busyd.__version__, kinds, DIRECTIONS), call.head)
