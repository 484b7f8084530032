"""`busyd record`: keeps redacted exchanges with the servers as files, for a bug report or as the data of a test."""

import argparse
import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation, find_installation
from busyd.cli.remote_session import Contact, open_contact, print_diagnosis, read_secret_of
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
"""Events in the one multiget: enough to see how they come, few enough to read."""
_MADE_UP: Final = "data:,busyd-recording-0"


def add_record_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "record",
        help="keep redacted exchanges with a server, for a bug report or a test",
        description="Log in, list the calendars, sync one and fetch some of its events, and keep each exchange as a "
        "file. Names, addresses, titles, places, notes, tokens and hosts are replaced by stand-ins; times stay. Look "
        "through the files before you show them to anybody. Nothing is changed on the server.",
    )
    parser.add_argument("--connection", metavar="NAME", help="only this connection")
    parser.add_argument("directory", metavar="DIRECTORY", type=Path, help="where to write; must be empty or not there")
    parser.set_defaults(run=record)


def record(arguments: argparse.Namespace) -> int:
    """Talk, and write."""
    installation = find_installation(arguments)
    chosen = _chosen(installation.config, arguments.connection)
    directory: Path = arguments.directory
    _prepare(directory)
    status = ExitStatus.OK
    for number, settings in enumerate(chosen, 1):
        folder = directory if len(chosen) == 1 else directory / f"connection-{number}"
        failed = asyncio.run(_record_one(settings, installation, folder))
        status = status or failed
    return status


def _chosen(config: Config, name: str | None) -> list[ConnectionConfig]:
    settings = [one for one in config.connections.values() if name in (None, one.connection.name)]
    if not settings:
        message = f"there is no connection named {name}" if name else "there is no connection"
        fix = f"there are: {', '.join(sorted(config.connections))}" if config.connections else "`busyd setup` makes one"
        raise CommandFailed(message, fix=fix, status=ExitStatus.USAGE)
    spoken = [one for one in settings if one.connection.kind is not ConnectionKind.ICS]
    if not spoken:
        message = "a feed has no conversation to record"
        raise CommandFailed(message, fix="fetch its file with any browser", status=ExitStatus.USAGE)
    return spoken


def _prepare(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        used = any(directory.iterdir())
    except OSError as error:
        message = f"cannot write into {directory}: {(error.strerror or 'refused').lower()}"
        raise CommandFailed(message, fix="name another directory") from None
    if used:
        message = f"{directory} is not empty"
        raise CommandFailed(message, fix="name a new directory: recordings are never mixed", status=ExitStatus.USAGE)


async def _record_one(settings: ConnectionConfig, installation: Installation, folder: Path) -> ExitStatus:
    secret = await read_secret_of(settings, installation)
    status = ExitStatus.OK
    async with open_contact(settings.connection, secret, SystemClock(), patience=True) as contact:
        try:
            await _converse(contact)
        except RemoteError as error:
            # What was said until then is what a bug report is about.
            status = print_diagnosis(await contact.explain(error), about=f"connection {settings.connection.name}")
        written = await asyncio.to_thread(_write, contact, folder)
    print(f"{settings.connection.name}: wrote {written} files into {folder}")
    return status


async def _converse(contact: Contact) -> None:
    """Everything a first day with a calendar consists of, reading only."""
    run = contact.client.run
    _, listing = await contact.log_in()
    calendar = choose_calendar(listing, ())
    if calendar is None:
        return
    try:
        delta = await run(sync_collection(calendar.href, None))
        hrefs: Sequence[str] = list(delta.changed)
        if delta.token is not None:
            await run(sync_collection(calendar.href, delta.token))
            with contextlib.suppress(InvalidSyncToken, SyncUnsupported):  # the refusal is what is wanted
                await run(sync_collection(calendar.href, _MADE_UP))
    except SyncUnsupported:
        hrefs = []
    members = await run(list_members(calendar.href))
    wanted = [href for href in members if href in hrefs or not hrefs][:_FETCHED]
    if wanted:
        await run(fetch_objects(calendar.href, wanted))
        await run(fetch_object(wanted[0]))


def _write(contact: Contact, folder: Path) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    redactor = WireRedactor()
    written = 0
    for number, exchange in enumerate(contact.observer.exchanges, 1):
        name = f"{number:02}-{exchange.request.method.lower()}-{exchange.status or 'no-answer'}"
        content = render_exchange(exchange, name, redactor)
        if content is not None:
            path = folder / f"{name}.txt"
            path.touch(mode=0o600)
            path.write_bytes(content)
            written += 1
    return written
