"""`busyd setup`: connects an account interactively, and saves nothing before the login has worked."""

import argparse
import asyncio
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from busyd.advice.apple import CREATE_APP_PASSWORD, EMAIL_ADDRESSES, NOT_APP_SPECIFIC, TWO_FACTOR
from busyd.advice.diagnosis import Outcome, describe_clock
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import SERVICE, find_installation
from busyd.cli.not_handed_out import describe_not_handed_out
from busyd.cli.questions import Questions
from busyd.cli.remote_session import STATUS_OF, open_session, print_diagnosis
from busyd.cli.setup_choices import ask_profile, print_calendars
from busyd.cli.setup_file import ConfigTarget, find_place, render, save
from busyd.cli.terminal import print_note
from busyd.clock import SystemClock
from busyd.config.load import SYSTEM_CONFIG
from busyd.config.parsers import is_loopback_host, parse_name, split_url
from busyd.connection import (
    ICLOUD_URL,
    Connection,
    ConnectionKind,
    PasswordShape,
    RemoteCalendar,
    calendars_by_default,
)
from busyd.credentials import FromCredential, FromFile, Secret, normalise_app_specific
from busyd.credentials.source import read_password
from busyd.errors import RemoteError
from busyd.remote.password import is_withheld

_LOGINS: Final = 3
"""Passwords that may be tried in one run; more could get the account blocked for a while."""

_STEPS: Final = """\
busyd logs in with an app-specific password, never with your Apple Account password. To create one:
  1. Open account.apple.com in a browser and sign in.
  2. Choose Sign-In and Security, then App-Specific Passwords. (If that is missing, two-factor authentication is off:
     turn it on in {two_factor}, then come back.)
  3. Choose Generate an app-specific password (or the + sign) and name it, for example: {label}
  4. Type or paste the password that Apple shows (xxxx-xxxx-xxxx-xxxx) below. Apple shows it only once; busyd stores it
     encrypted."""


def add_setup_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "setup",
        help="connect an account, step by step",
        description="Connect an iCloud account, another CalDAV server or a calendar feed: asks for what is needed, "
        "tries the login, lists the calendars, and writes the configuration and the encrypted password. Nothing is "
        "saved unless the login works. Answers can be piped in, one per line.",
    )
    parser.add_argument("--kind", choices=[kind.value for kind in ConnectionKind], default="icloud",
                        help="what to connect (default: icloud)")  # fmt: skip
    parser.add_argument("--url", help="the CalDAV address of the server, or the address of the feed")
    parser.add_argument("--username", metavar="NAME", help="the Apple ID, or the user name")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--password-file", metavar="FILE", type=Path, help="read the password from a file")
    given.add_argument("--password-stdin", action="store_true", help="the first line of standard input is the password")
    parser.add_argument("--any-password", action="store_true",
                        help="send the password to Apple even if it is not an app-specific one")  # fmt: skip
    parser.add_argument("--name", help="name of the connection in the configuration")
    parser.add_argument("--profile", metavar="NAME", help="name of the profile; 'none' for no profile")
    parser.add_argument("--primary", metavar="CALENDAR", help="where appointments are written; 'none' for nowhere")
    parser.add_argument("--conflicts", metavar="CALENDARS",
                        help="calendars whose events block time, separated by commas; 'all', 'none'")  # fmt: skip
    parser.add_argument("--timezone", metavar="ZONE", help="the person's time zone, such as Europe/Berlin")
    parser.add_argument("--yes", action="store_true", help="do not ask; use the defaults")
    parser.set_defaults(run=set_up)


def set_up(arguments: argparse.Namespace) -> int:
    """Ask, try, choose, write."""
    installation = find_installation(arguments)
    installation.require_access()
    named = installation.path if installation.is_service else arguments.config
    place, state = find_place(named, os.environ), installation.state
    questions = Questions(accept_defaults=arguments.yes)
    kind = ConnectionKind(arguments.kind)
    password = questions.secret("Password") if arguments.password_stdin else None
    url = _ask_url(arguments, questions, kind=kind)
    username = _ask_username(arguments, questions, kind=kind)
    _refuse_twice(place, kind, url=url, username=username, name=arguments.name)
    if username:
        _refuse_clear_text(url, kind, questions=questions)
    shape = PasswordShape.ANY if arguments.any_password else PasswordShape.APPLE
    name = _name(arguments, place, kind=kind, url=url, username=username)
    connection = Connection(name, kind, url, username, allow_password_shape=shape)
    if arguments.password_file is not None:
        password = read_password(FromFile(arguments.password_file), state, environment=os.environ)
    login = _log_in(connection, password, questions=questions)
    if isinstance(login, int):
        return login
    password, calendars = login
    print_calendars(connection, calendars)
    profile = ask_profile(arguments, questions, connection=connection, calendars=calendars, config=place.config)
    if not questions.confirm(f"Write {place.file_for(connection.name)}", default=True):
        raise CommandFailed("stopped; nothing was saved")
    text = render(connection, profile, has_password=password is not None, label=label_of_this_machine())
    file = save(place, connection.name, text=text, password=password, state=state)
    print(f"wrote {file}")
    if password is not None:
        print(f"stored the encrypted password as credential {connection.name} in {state}")
    print(f"next: {_next(place)}")
    return ExitStatus.OK


def _next(place: ConfigTarget) -> str:
    if place.config is not None:
        start = "systemctl start busyd" if place.main == SYSTEM_CONFIG else "busyd run"
        return f"`busyd reload` if the daemon is running, otherwise `{start}`"
    if place.main == SYSTEM_CONFIG:
        return "`systemctl enable --now busyd`"
    service = f"to set up the system service instead, pass `--config {SYSTEM_CONFIG} --state {SERVICE.state}`"
    return f"`busyd run` ({service})"


def label_of_this_machine() -> str:
    """The suggested name of the password in the Apple Account, so that it can be recognised and revoked by itself."""
    return f"busyd@{socket.gethostname().partition('.')[0] or 'localhost'}"


def parse_apple_id(text: str) -> str:
    """An Apple ID as it is sent. Raises ValueError for what cannot be one."""
    apple_id = text.strip()
    if re.fullmatch(r"[+(]?[\d\s()./-]{5,}", apple_id):
        message = (
            "this is a phone number, which iCloud Calendar does not accept; use the e-mail address of the Apple ID "
            f"(see {EMAIL_ADDRESSES}, where one can be added)"
        )
        raise ValueError(message)
    if not re.fullmatch(r"[^\s@:]+@[^\s@:]+\.[^\s@:]+", apple_id) or not apple_id.isprintable():
        message = "an Apple ID is an e-mail address, such as anna@icloud.com; it may be from another provider"
        raise ValueError(message)
    return apple_id


def _ask_url(arguments: argparse.Namespace, questions: Questions, *, kind: ConnectionKind) -> str:
    if kind is ConnectionKind.ICLOUD and not arguments.url:
        return ICLOUD_URL
    schemes = ("https", "http", "webcal", "webcals") if kind is ConnectionKind.ICS else ("https", "http")

    def parse(text: str) -> str:
        split_url(text.strip(), schemes)
        return text.strip()

    return _given_or_asked(questions, arguments.url, question="Address of the server", parse=parse, option="--url URL")


def _ask_username(arguments: argparse.Namespace, questions: Questions, *, kind: ConnectionKind) -> str:
    if kind is ConnectionKind.ICLOUD:
        return _given_or_asked(
            questions, arguments.username, question="Apple ID", parse=parse_apple_id, option="--username NAME"
        )

    def parse(text: str) -> str:
        if ":" in text or not text.strip().isprintable():
            raise ValueError("a user name cannot contain ':' or control characters")
        return text.strip()

    if kind is ConnectionKind.ICS:
        return parse(arguments.username or "")
    return _given_or_asked(questions, arguments.username, question="User name", parse=parse, option="--username NAME")


def _given_or_asked(
    questions: Questions, given: str | None, *, question: str, parse: Callable[[str], str], option: str
) -> str:
    if given is None:
        return questions.ask(question, parse, option=option)
    try:
        return parse(given)
    except ValueError as error:
        message = f"{error}; nothing was saved"
        raise CommandFailed(message, fix=f"correct {option}", status=ExitStatus.USAGE) from None


def _refuse_twice(place: ConfigTarget, kind: ConnectionKind, *, url: str, username: str, name: str | None) -> None:
    """Connecting the same account again is usually an attempt to replace its password."""
    if name in _taken(place):
        message = f"there is already a connection or a stored password named {name}; nothing was saved"
        raise CommandFailed(message, fix="choose another --name", status=ExitStatus.USAGE)
    for known, settings in (place.config.connections if place.config else {}).items():
        connection = settings.connection
        same = (connection.kind, connection.url, connection.username.casefold()) == (kind, url, username.casefold())
        if same and name is None:
            source = settings.password
            update = (
                f"run `busyd credential set {source.name}`"
                if isinstance(source, FromCredential)
                else f"change it in the configured source ({source})"
            )
            what = "feed" if source is None else "account"
            message = f"this {what} is already connected, as {known}"
            again = "to connect it a second time, pass --name"
            fix = again if source is None else f"to change its password, {update}; {again}"
            raise CommandFailed(message, fix=fix)


def _name(arguments: argparse.Namespace, place: ConfigTarget, *, kind: ConnectionKind, url: str, username: str) -> str:
    if arguments.name is not None:
        try:
            return parse_name(arguments.name)
        except ValueError as error:
            message = f"--name: {error}; nothing was saved"
            raise CommandFailed(message, status=ExitStatus.USAGE) from None
    parts = urlsplit(url)
    path = parts.path.rstrip("/").rpartition("/")[2].removesuffix(".ics")
    wished = username.partition("@")[0] or path or (parts.hostname or "").partition(".")[0]
    plain = re.sub(r"[^a-z0-9]+", "-", wished.lower()).strip("-")[:40].strip("-") or kind.value
    taken = _taken(place)
    numbered = (f"{plain}-{number}" for number in range(2, 1000))
    return next(name for name in (plain, *numbered) if name not in taken and not os.path.lexists(place.file_for(name)))


def _refuse_clear_text(url: str, kind: ConnectionKind, *, questions: Questions) -> None:
    """A password is sent unencrypted only after a confirmation; to iCloud, never."""
    parts = urlsplit(url)
    if parts.scheme != "http" or kind is ConnectionKind.ICLOUD or is_loopback_host(parts.hostname or ""):
        return
    print_note("With http the password would cross the network unencrypted. Use https if the server supports it.")
    if not questions.confirm("Send it unencrypted anyway", default=False):
        message = "the password was not sent, and nothing was saved"
        raise CommandFailed(message, fix="use an https address", status=ExitStatus.USAGE)


def _taken(place: ConfigTarget) -> set[str]:
    """Names that are in use by a connection or its stored password."""
    known = place.config.connections if place.config else {}
    sources = [settings.password for settings in known.values()]
    return {*known, *(source.name for source in sources if isinstance(source, FromCredential))}


def _log_in(
    connection: Connection, given: Secret | None, *, questions: Questions
) -> tuple[Secret | None, tuple[RemoteCalendar, ...]] | int:
    """A password that works and the calendars it opens, or the status to end with."""
    if not connection.username:
        result = asyncio.run(_try(connection, None))
        return result if isinstance(result, tuple) else STATUS_OF[result]
    icloud = connection.kind is ConnectionKind.ICLOUD
    if given is None and icloud:
        print(_STEPS.format(label=label_of_this_machine(), two_factor=TWO_FACTOR))
    outcome, withheld = Outcome.LOGIN, False
    for _ in range(_LOGINS if given is None and questions.person_present else 1):
        password = given or questions.secret("App-specific password" if icloud else "Password")
        if icloud:
            password = Secret(normalise_app_specific(password.reveal()))
        if is_withheld(connection, password):
            print_note(
                f"{NOT_APP_SPECIFIC[0].upper()}{NOT_APP_SPECIFIC[1:]}. If it is your Apple Account password, iCloud "
                "refuses it here, and it should not be typed into other programs. It has not been sent."
            )
            withheld = True
            continue
        withheld = False
        result = asyncio.run(_try(connection, password))
        if isinstance(result, tuple):
            return result
        outcome = result
        if outcome is not Outcome.LOGIN:
            break
    if withheld:
        raise CommandFailed(
            "the password was not sent, and nothing was saved", fix=CREATE_APP_PASSWORD, status=ExitStatus.LOGIN_REFUSED
        )
    print_note("       nothing was saved")
    return STATUS_OF[outcome]


async def _try(
    connection: Connection, password: Secret | None
) -> tuple[Secret | None, tuple[RemoteCalendar, ...]] | Outcome:
    """Log in once, or explain why that failed."""
    print_note(f"Connecting to {urlsplit(connection.url).hostname} ...")
    async with open_session(connection, password, clock=SystemClock()) as session:
        try:
            calendars = await session.list_calendars()
        except RemoteError as error:
            diagnosis = await session.explain(error)
            print_diagnosis(diagnosis)
            return diagnosis.outcome
        for sentence in await describe_not_handed_out(session, calendars_by_default(calendars, primary=None)):
            print_note(f"Note: {sentence}.")
        if clock := describe_clock(session.observer.skew()):
            print_note(f"Warning: {clock}. Correct it; otherwise, busyd gets the current time wrong.")
    return password, calendars
