"""The calendars of a configuration as the daemon last saw them listed: no server is asked."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from busyd.cli.daemon_client import client_of
from busyd.cli.exit_status import CommandFailed
from busyd.cli.installation import Installation
from busyd.cli.stores import stores_of
from busyd.config import Config
from busyd.connection import CalendarKind, ConnectionKind, RemoteCalendar
from busyd.errors import BusydError
from busyd.ownership import as_owner_of

_WITHIN = 5.0
"""Seconds for the answer of a running daemon."""


def known_calendars(installation: Installation, config: Config) -> dict[str, list[RemoteCalendar]]:
    """By connection; one that was never listed has no entry, nor has a feed, whose one calendar needs no listing.

    Empty where nobody can say: that is no fault of the configuration.
    """
    accounts = {name for name, one in config.connections.items() if one.connection.kind is not ConnectionKind.ICS}
    found = _of_running(installation) if installation.is_in_use else _of_stopped(installation)
    return {name: calendars for name, calendars in found.items() if name in accounts}


def _of_running(installation: Installation) -> dict[str, list[RemoteCalendar]]:
    try:
        answer = client_of(installation).get("/v1/calendars", seconds=_WITHIN)
        rows: Sequence[Mapping[str, Any]] = answer["calendars"]
        return _by_connection((str(row["connection"]), _calendar_of(row)) for row in rows)
    except (CommandFailed, KeyError, TypeError, ValueError):  # also an older daemon that answers otherwise
        return {}


def _calendar_of(row: Mapping[str, Any]) -> RemoteCalendar:
    return RemoteCalendar(
        str(row["href"]),
        str(row["name"]),
        kind=CalendarKind(row["kind"]),
        writable=bool(row["writable"]),
        transparent=bool(row["transparent"]),
    )


def _of_stopped(installation: Installation) -> dict[str, list[RemoteCalendar]]:
    with suppress(OSError, BusydError), as_owner_of(installation.state):
        records = stores_of(installation).calendars_of_stopped() or ()
        return _by_connection((record.connection, record.remote) for record in records if not record.gone)
    return {}


def _by_connection(pairs: Any) -> dict[str, list[RemoteCalendar]]:
    found: dict[str, list[RemoteCalendar]] = {}
    for connection, calendar in pairs:
        found.setdefault(connection, []).append(calendar)
    return found
