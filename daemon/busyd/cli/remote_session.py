"""One connection spoken to from the command line, without the daemon: log in, look, and say what went wrong."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.probe import look_behind
from busyd.cli.terminal import print_note, printable
from busyd.clock import Clock
from busyd.config import ConnectionConfig
from busyd.connection import CalendarKind, Connection, ConnectionKind, RemoteCalendar
from busyd.credentials import (
    FromCommand,
    PasswordSource,
    Secret,
    looks_app_specific,
    normalise_app_specific,
    read_password,
)
from busyd.dav.errors import LoginRefused
from busyd.dav.operation import Account, Listing, discover_account, list_calendars
from busyd.errors import BusydError
from busyd.log import hide_secret
from busyd.remote.allowlist import Address, UnsafeUrl, to_ascii
from busyd.remote.client import CaldavClient
from busyd.remote.diagnosis import Diagnosis, Outcome, Surroundings, diagnose
from busyd.remote.errors import Trouble, Unreachable
from busyd.remote.feed import feed_address, fetch_feed
from busyd.remote.observer import Observer
from busyd.remote.transport import Transport

SECOND_TRY: Final = 2.0
"""Seconds after which a first refused login is tried again: iCloud now and then refuses a good one."""

STATUS_OF: Final = {
    Outcome.CONFIGURATION: ExitStatus.CONFIG,
    Outcome.LOGIN: ExitStatus.LOGIN_REFUSED,
    Outcome.UNAVAILABLE: ExitStatus.REMOTE_UNAVAILABLE,
    Outcome.LATER: ExitStatus.TRY_AGAIN,
}
_PATIENCE: Final = 1.0
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class Contact(Struct, frozen=True):
    """A connection with all it takes to ask it something, and a memory of what was said."""

    connection: Connection
    password: Secret | None
    observer: Observer
    client: CaldavClient
    clock: Clock

    async def log_in(self) -> tuple[Account, Listing]:
        """Discover the account and list its calendars. Raises RemoteError; a lone refusal is tried a second time."""
        try:
            return await self._log_in_once()
        except LoginRefused:
            await self.clock.sleep(SECOND_TRY)
            return await self._log_in_once()

    async def list_calendars(self) -> tuple[RemoteCalendar, ...]:
        """The calendars of the connection, of whatever kind it is. Raises RemoteError, UserError."""
        if self.connection.kind is not ConnectionKind.ICS:
            return (await self.log_in())[1].calendars
        await fetch_feed(
            self.connection.url,
            allow_private=True,
            username=self.connection.username,
            password=self.password,
        )
        return (RemoteCalendar(self.connection.url, self.connection.name, CalendarKind.FEED, writable=False),)

    async def explain(self, error: BusydError, *, worked_before: bool = False) -> Diagnosis:
        """What the error means and what to do, after a look at what may be behind it."""
        skew, certificate = self.observer.skew(), None
        if isinstance(error, Unreachable) and error.kind is Trouble.TLS and (address := self.address) is not None:
            certificate, date = await look_behind(address.origin.host, address.origin.port)
            skew = self.clock.now() - date if date is not None else None
        seen = Surroundings(
            now=self.clock.now(),
            skew=skew,
            web_page=self.observer.ended_on_a_web_page(),
            proxy_variable=proxy_variable(os.environ),
            app_specific=self.password is None or looks_app_specific(self.password.reveal()),
            worked_before=worked_before,
            certificate=certificate,
        )
        return diagnose(error, self.connection, seen)

    async def _log_in_once(self) -> tuple[Account, Listing]:
        account = await self.client.run(discover_account(self.connection.url))
        return account, await self.client.run(list_calendars(account.home, single=account.is_single))

    @property
    def address(self) -> Address | None:
        """Where the connection begins; None for a URL that is none."""
        try:
            return Address.parse(to_ascii(self.connection.url))
        except UnsafeUrl:
            return None


@asynccontextmanager
async def open_contact(
    connection: Connection, password: Secret | None, clock: Clock, *, patience: bool = False
) -> AsyncIterator[Contact]:
    """A contact for as long as the block lasts. Raises UserError for an unusable URL.

    With `patience` whoever waits for more than a second is told what for.
    """
    if connection.kind is ConnectionKind.ICS:
        connection = replace(connection, url=str(feed_address(connection.url)))  # webcal: means https:
    if password is not None:
        hide_secret(password, connection.username)
    transport = Transport(connection, lambda: password, clock)
    observer = Observer(transport, clock)
    waiting = f"waiting for {connection.name} ..."
    remark = asyncio.get_running_loop().call_later(_PATIENCE, print_note, waiting) if patience else None
    try:
        yield Contact(connection, password, observer, CaldavClient(observer), clock)
    finally:
        if remark is not None:
            remark.cancel()
        await transport.close()


async def read_secret_of(settings: ConnectionConfig, found: Installation) -> Secret | None:
    """The password of a configured connection as it is sent; None where it has none. Raises CredentialMissing."""
    if settings.password is None:
        return None
    secret = await asyncio.to_thread(_read, settings.password, found)
    if settings.connection.kind is ConnectionKind.ICLOUD:
        return Secret(normalise_app_specific(secret.reveal()))
    return secret


def _read(source: PasswordSource, found: Installation) -> Secret:
    if isinstance(source, FromCommand):  # takes its time, and is run as the owner of the state
        return read_password(source, found.state, found.environment)
    with found.as_its_user():
        return read_password(source, found.state, found.environment)


def proxy_variable(environment: Mapping[str, str]) -> str:
    """The variable that tells programs of this machine to use a proxy, or an empty text."""
    return next((name for name in _PROXY_VARIABLES if environment.get(name)), "")


def print_diagnosis(diagnosis: Diagnosis, *, about: str = "") -> ExitStatus:
    """What happened on standard error, and what to do below it; returns the status that says the same to a script."""
    told = f"{about}: {diagnosis.message}" if about else diagnosis.message
    print(f"busyd: {printable(told)}", file=sys.stderr)
    for number, step in enumerate(diagnosis.steps, 1):
        mark = f"{number}. " if len(diagnosis.steps) > 1 else ""
        print(f"       {mark}{printable(step)}", file=sys.stderr)
    return STATUS_OF[diagnosis.outcome]
