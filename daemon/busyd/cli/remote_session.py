"""Talks to the server of one connection without the daemon: logs in, lists calendars, and explains what went wrong."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from busyd.advice.diagnosis import Diagnosis, Outcome, Surroundings, diagnose
from busyd.cli.exit_status import ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.stores import read_configured
from busyd.cli.terminal import print_note
from busyd.clock import Clock, SystemClock
from busyd.config import ConnectionConfig
from busyd.connection import CalendarKind, Connection, ConnectionKind, RemoteCalendar
from busyd.credentials import FromCommand, PasswordSource, Secret, looks_app_specific
from busyd.dav.errors import LoginRefused
from busyd.dav.operation import Account, Listing, discover_account, list_homes
from busyd.errors import BusydError
from busyd.log import hide_secret
from busyd.remote.allowlist import Address, UnsafeUrl, to_ascii
from busyd.remote.client import CaldavClient
from busyd.remote.errors import NOTHING_SENT, NotAppSpecific, Trouble, Unreachable
from busyd.remote.feed import FeedRequest, UserAgents, feed_address, fetch_feed
from busyd.remote.observer import Observer
from busyd.remote.password import as_sent
from busyd.remote.probe import fetch_certificate
from busyd.remote.transport import Transport
from busyd.remote.wire import limits_of

SECOND_TRY: Final = 2.0
"""Seconds after which a first refused login is tried again: iCloud occasionally refuses a valid one."""

STATUS_OF: Final = {
    Outcome.CONFIGURATION: ExitStatus.CONFIG,
    Outcome.LOGIN: ExitStatus.LOGIN_REFUSED,
    Outcome.UNAVAILABLE: ExitStatus.REMOTE_UNAVAILABLE,
    Outcome.LATER: ExitStatus.TRY_AGAIN,
}
_ANNOUNCE_AFTER: Final = 1.0
_PROXY_VARIABLES: Final = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


class RemoteSession(Struct, frozen=True):
    """A connection with all that is needed to send it requests, and a record of the exchanges."""

    connection: Connection
    password: Secret | None
    observer: Observer
    client: CaldavClient
    clock: Clock

    async def log_in(self) -> tuple[Account, Listing]:
        """Discover the account and list its calendars. Raises RemoteError; a lone refusal is tried a second time."""
        try:
            return await self._log_in_once()
        except NOTHING_SENT:
            raise
        except LoginRefused:
            await self.clock.sleep(SECOND_TRY)
            return await self._log_in_once()

    async def list_calendars(self) -> tuple[RemoteCalendar, ...]:
        """The calendars of the connection, of whatever kind it is. Raises RemoteError, UserError."""
        return (await self.list()).calendars

    async def list(self) -> Listing:
        """The same with what else the account has. Raises RemoteError, UserError."""
        if self.connection.kind is not ConnectionKind.ICS:
            return (await self.log_in())[1]
        request = FeedRequest(
            self.connection.url,
            is_configured=True,
            allow_private=self.connection.allow_private,
            username=self.connection.username,
            password=self.password,
        )
        await fetch_feed(
            request,
            agents=UserAgents(self.connection.user_agent),
            limits=limits_of(self.connection),
        )
        return Listing((RemoteCalendar(self.connection.url, self.connection.name, CalendarKind.FEED, writable=False),))

    async def explain(self, error: BusydError, *, worked_before: bool = False) -> Diagnosis:
        """What the error means and what to do, after checking for possible causes."""
        skew, certificate = self.observer.skew(), None
        if isinstance(error, Unreachable) and error.kind is Trouble.TLS and (address := self.address) is not None:
            certificate, date = await fetch_certificate(address.origin.host, address.origin.port)
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
        return diagnose(error, self.connection, seen=seen)

    async def _log_in_once(self) -> tuple[Account, Listing]:
        account = await self.client.run(discover_account(self.connection.url))
        return account, await self.client.run(list_homes(account.homes, single=account.is_single))

    @property
    def address(self) -> Address | None:
        """The address the connection starts from; None for an invalid URL."""
        try:
            return Address.parse(to_ascii(self.connection.url))
        except UnsafeUrl:
            return None


@asynccontextmanager
async def open_session(
    connection: Connection, password: Secret | None, *, clock: Clock, announce_wait: bool = False
) -> AsyncIterator[RemoteSession]:
    """A session for as long as the block lasts. Raises UserError for an unusable URL.

    With `announce_wait`, a note says what is being waited for after a second.
    """
    if connection.kind is ConnectionKind.ICS:
        connection = replace(connection, url=str(feed_address(connection.url)))  # webcal: means https:
    if password is not None:
        hide_secret(password, connection.username)
    transport = Transport(connection, lambda: password, clock=clock)
    observer = Observer(transport, clock)
    waiting = f"waiting for {connection.name} ..."
    note = asyncio.get_running_loop().call_later(_ANNOUNCE_AFTER, print_note, waiting) if announce_wait else None
    try:
        yield RemoteSession(connection, password, observer, CaldavClient(observer), clock)
    finally:
        if note is not None:
            note.cancel()
        await transport.close()


async def read_secret_of(settings: ConnectionConfig, installation: Installation) -> Secret | None:
    """The password of a configured connection; None where it has none. Raises as `read_configured`."""
    if settings.password is None:
        return None
    return await asyncio.to_thread(_read, settings.password, installation)


def find_withheld(connection: Connection, secret: Secret) -> Diagnosis | None:
    """What to do about a password that is not sent to Apple; None for one that may be sent."""
    try:
        as_sent(connection, secret)
    except NotAppSpecific as error:
        return diagnose(error, connection, seen=Surroundings(SystemClock().now()))
    return None


def _read(source: PasswordSource, installation: Installation) -> Secret:
    if isinstance(source, FromCommand):  # may take long, and is run as the owner of the state
        return read_configured(source, installation)
    with installation.as_its_user():
        return read_configured(source, installation)


def proxy_variable(environment: Mapping[str, str]) -> str:
    """The variable that tells programs of this machine to use a proxy, or an empty text."""
    return next((name for name in _PROXY_VARIABLES if environment.get(name)), "")


def print_diagnosis(diagnosis: Diagnosis, *, about: str = "") -> ExitStatus:
    """Print what happened on standard error, and what to do below it; returns the matching exit status."""
    message = f"{about}: {diagnosis.message}" if about else diagnosis.message
    print_note(f"busyd: {message}", indent="       ")
    for number, step in enumerate(diagnosis.steps, 1):
        mark = f"{number}. " if len(diagnosis.steps) > 1 else ""
        print_note(f"       {mark}{step}", indent=" " * len(mark))
    return STATUS_OF[diagnosis.outcome]
