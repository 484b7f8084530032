"""`busyd record`: writes redacted exchanges with the servers to files, for a bug report or as test data."""

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.known_names import require_connection
from busyd.cli.remote_session import RemoteSession, open_session, print_diagnosis, read_secret_of
from busyd.cli.self_test import choose_calendar
from busyd.clock import SystemClock
from busyd.config import Config, ConnectionConfig
from busyd.connection import ConnectionKind
from busyd.dav.errors import InvalidSyncToken, SyncUnsupported
from busyd.dav.operation import fetch_object, fetch_objects, list_members, sync_collection
from busyd.errors import RemoteError
from busyd.remote.recording import render_exchange
from busyd.remote.redaction import WireRedactor

_FETCHED: Final = 10
"""Events in the one multiget: enough to see their form, few enough to read."""
_MADE_UP: Final = "data:,busyd-recording-0"


def add_record_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "record",
        help="record redacted exchanges with a server, for a bug report or a test",
        description="Log in, list the calendars, sync one and fetch some of its events, and write each exchange to a "
        "file. Names, addresses, titles, places, notes, tokens and hosts are replaced by placeholders; times are "
        "kept. Review the files before you share them. Nothing is changed on the server.",
    )
    parser.add_argument("--connection", metavar="NAME", help="only this connection")
    parser.add_argument(
        "directory", metavar="DIRECTORY", type=Path, help="where to write; must be empty or not exist yet"
    )
    parser.set_defaults(run=record)


def record(arguments: argparse.Namespace) -> int:
    """Talk to the servers, and write the files."""
    installation = find_installation(arguments)
    chosen = _chosen(installation.config, arguments.connection)
    directory: Path = arguments.directory
    _prepare(directory)
    status = ExitStatus.OK
    for number, settings in enumerate(chosen, 1):
        folder = directory if len(chosen) == 1 else directory / f"connection-{number}"
        failed = asyncio.run(_record_one(settings, installation, folder=folder))
        status = status or failed
    return status


def _chosen(config: Config, name: str | None) -> list[ConnectionConfig]:
    if name is not None:
        require_connection(name, config)
    named = [settings for settings in config.connections.values() if name in (None, settings.connection.name)]
    if not named:
        raise CommandFailed("there is no connection", fix="create one with `busyd setup`")
    chosen = [settings for settings in named if settings.connection.kind is not ConnectionKind.ICS]
    if not chosen:
        message = "a feed has no CalDAV exchanges to record"
        raise CommandFailed(message, fix="download it with a browser instead", status=ExitStatus.USAGE)
    return chosen


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        used = any(directory.iterdir())
    except OSError as error:
        message = f"cannot write to {directory}: {(error.strerror or 'access denied').lower()}"
        raise CommandFailed(message, fix="choose another directory") from None
    if used:
        message = f"{directory} is not empty"
        raise CommandFailed(message, fix="choose a new directory: recordings are never mixed", status=ExitStatus.USAGE)


async def _record_one(settings: ConnectionConfig, installation: Installation, *, folder: Path) -> ExitStatus:
    secret = await read_secret_of(settings, installation)
    status = ExitStatus.OK
    async with open_session(settings.connection, secret, clock=SystemClock(), announce_wait=True) as session:
        try:
            await _converse(session)
        except RemoteError as error:
            # The exchanges up to the error are what a bug report is about.
            status = print_diagnosis(await session.explain(error), about=f"connection {settings.connection.name}")
        written = await asyncio.to_thread(_write, session, folder)
    print(f"{settings.connection.name}: wrote {written} files to {folder}")
    return status


async def _converse(session: RemoteSession) -> None:
    """The requests of a first sync, and some that the server should refuse. Reads only."""
    run = session.client.run
    _, listing = await session.log_in()
    calendar = choose_calendar(listing, ())
    if calendar is None:
        return
    try:
        delta = await run(sync_collection(calendar.href, None))
        hrefs: Sequence[str] = list(delta.changed)
        if delta.token is not None:
            await run(sync_collection(calendar.href, delta.token))
            with contextlib.suppress(InvalidSyncToken, SyncUnsupported):  # the refusal is what is to be recorded
                await run(sync_collection(calendar.href, _MADE_UP))
    except SyncUnsupported:
        hrefs = []
    members = await run(list_members(calendar.href))
    wanted = [members.spelled.get(href, href) for href in members.etags if href in hrefs or not hrefs][:_FETCHED]
    if wanted:
        await run(fetch_objects(calendar.href, wanted))
        await run(fetch_object(wanted[0]))


def _write(session: RemoteSession, folder: Path) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    redactor = WireRedactor()
    written = 0
    for number, exchange in enumerate(session.observer.exchanges, 1):
        name = f"{number:02}-{exchange.request.method.lower()}-{exchange.status or 'no-answer'}"
        content = render_exchange(exchange, name, redactor=redactor)
        if content is not None:
            path = folder / f"{name}.txt"
            path.touch(mode=0o600)
            path.write_bytes(content)
            written += 1
    return written
