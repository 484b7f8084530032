"""Logs into the account that `busyd setup` connects: asks for the password, tries it, and says what went wrong."""

import asyncio
import socket
from typing import Final
from urllib.parse import urlsplit

from msgspec import Struct

from busyd.advice.apple import CREATE_APP_PASSWORD, NOT_APP_SPECIFIC, TWO_FACTOR
from busyd.advice.diagnosis import Outcome, describe_clock
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.not_handed_out import describe_not_handed_out
from busyd.cli.questions import Questions
from busyd.cli.remote_session import STATUS_OF, open_session, print_diagnosis
from busyd.cli.terminal import print_note
from busyd.clock import SystemClock
from busyd.connection import (
    Connection,
    ConnectionKind,
    calendars_by_default,
)
from busyd.credentials import Secret, normalise_app_specific
from busyd.dav.operation import Listing
from busyd.errors import RemoteError
from busyd.remote.password import is_withheld

_LOGINS: Final = 3
"""Passwords that may be tried in one run; more could get the account blocked for a while."""
_TRIES: Final = 6
"""Passwords that may be typed, those that are not sent included."""

_STEPS: Final = """\
busyd logs in with an app-specific password, never with your Apple Account
password. To create one:
  1. Open account.apple.com in a browser and sign in.
  2. Choose Sign-In and Security, then App-Specific Passwords. (If that is
     missing, two-factor authentication is off: turn it on in
     {two_factor},
     then come back.)
  3. Choose Generate an app-specific password (or the + sign) and name it,
     for example: {label}
  4. Type or paste the password that Apple shows (xxxx-xxxx-xxxx-xxxx) below.
     Apple shows it only once; busyd stores it encrypted."""


def label_of_this_machine() -> str:
    """The suggested name of the password in the Apple Account, so that it can be recognised and revoked by itself."""
    return f"busyd@{socket.gethostname().partition('.')[0] or 'localhost'}"


class LoggedIn(Struct, frozen=True):
    """An account that can be connected."""

    password: Secret | None
    listing: Listing


def log_in(connection: Connection, given: Secret | None, *, questions: Questions) -> LoggedIn | int:
    """A password that works and the calendars it opens, or the status to end with.

    A person is asked again after a refused password, and after one that was mistyped and not sent.
    """
    if not connection.username:
        result = asyncio.run(_try(connection, None))
        return result if isinstance(result, LoggedIn) else STATUS_OF[result]
    icloud = connection.kind is ConnectionKind.ICLOUD
    if given is None and icloud:
        print(_STEPS.format(label=label_of_this_machine(), two_factor=TWO_FACTOR))
    may_ask_again = given is None and questions.person_present
    sent, withheld = 0, False
    for left in range(_TRIES if may_ask_again else 1, 0, -1):
        typed = given or _ask_password(icloud=icloud, questions=questions, is_last=not may_ask_again or left == 1)
        if typed is None:
            continue
        password = Secret(normalise_app_specific(typed.reveal())) if icloud else typed
        if withheld := is_withheld(connection, password):
            print_note(
                f"{NOT_APP_SPECIFIC[0].upper()}{NOT_APP_SPECIFIC[1:]}. If it is your Apple Account password, iCloud "
                "refuses it here, and it should not be typed into other programs. It has not been sent."
            )
            continue
        result = asyncio.run(_try(connection, password))
        if isinstance(result, LoggedIn):
            return result
        sent += 1
        if result is not Outcome.LOGIN or sent == _LOGINS or not may_ask_again:
            print_note("       nothing was saved")
            return STATUS_OF[result]
        print_note(f"Type it again, or press Ctrl-C to stop (try {sent + 1} of {_LOGINS}).")
    told = "the password was not sent, and nothing was saved" if withheld else "no password worked; nothing was saved"
    raise CommandFailed(told, fix=CREATE_APP_PASSWORD if icloud else "", status=ExitStatus.LOGIN_REFUSED)


def _ask_password(*, icloud: bool, questions: Questions, is_last: bool) -> Secret | None:
    """What was typed; None when that was nothing, or no text, and may be asked for again."""
    try:
        return questions.secret("App-specific password" if icloud else "Password")
    except CommandFailed as error:
        if is_last:
            raise
        print_note(f"  {error}")
        return None


async def _try(connection: Connection, password: Secret | None) -> LoggedIn | Outcome:
    """Log in once, or explain why that failed."""
    print_note(f"Connecting to {urlsplit(connection.url).hostname} ...")
    async with open_session(connection, password, clock=SystemClock()) as session:
        try:
            listing = await session.list()
        except RemoteError as error:
            diagnosis = await session.explain(error)
            print_diagnosis(diagnosis)
            return diagnosis.outcome
        for sentence in await describe_not_handed_out(session, calendars_by_default(listing.calendars, primary=None)):
            print_note(f"Note: {sentence}.")
        if clock := describe_clock(session.observer.skew()):
            print_note(f"Warning: {clock}. Correct it; otherwise, busyd gets the current time wrong.")
    return LoggedIn(password, listing)
