"""`busyd setup`: connects an account with a person at the keyboard, and saves nothing before the login has worked."""

import argparse
import asyncio
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import SERVICE, find_installation
from busyd.cli.questions import Questions
from busyd.cli.remote_session import STATUS_OF, open_contact, print_diagnosis
from busyd.cli.setup_choices import ask_profile, print_calendars
from busyd.cli.setup_file import Place, find_place, render, save
from busyd.cli.terminal import print_note
from busyd.clock import SystemClock
from busyd.config.load import SYSTEM_CONFIG
from busyd.config.parsers import is_loopback_host, parse_name, split_url
from busyd.connection import ICLOUD_URL, Connection, ConnectionKind, RemoteCalendar
from busyd.credentials import FromCredential, FromFile, Secret, looks_app_specific, normalise_app_specific
from busyd.credentials.source import read_password
from busyd.errors import RemoteError
from busyd.remote.diagnosis import Outcome, describe_clock

_LOGINS: Final = 3
"""Passwords a person may try in one go; more may get the account blocked for a while."""

_STEPS: Final = """\
busyd logs in with an app-specific password, never with the password of your Apple Account. To make one:
  1. Open account.apple.com in a browser and sign in.
  2. Choose Sign-In and Security, then App-Specific Passwords. (It is not there? Two-factor authentication is off:
     turn it on in Settings > your name > Sign-In & Security > Two-Factor Authentication, then come back.)
  3. Choose Generate an app-specific password (or the + sign) and call it, for instance: {label}
  4. Type or paste what Apple shows, xxxx-xxxx-xxxx-xxxx, below. Apple shows it only once; busyd keeps it encrypted."""


def add_setup_command(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "setup",
        help="connect an account, step by step",
        description="Connect an iCloud account, another CalDAV server or a calendar feed: asks what it needs to know, "
        "tries the login, lists the calendars, and writes configuration and encrypted password. Nothing is saved "
        "unless the login worked. Answers may be piped in, one in a line.",
    )
    parser.add_argument("--kind", choices=[kind.value for kind in ConnectionKind], default="icloud",
                        help="what to connect (default: icloud)")  # fmt: skip
    parser.add_argument("--url", help="the server's CalDAV address, or that of the feed")
    parser.add_argument("--username", metavar="NAME", help="the Apple ID, or the user name")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--password-file", metavar="FILE", type=Path, help="read the password from a file")
    given.add_argument("--password-stdin", action="store_true", help="the first line of standard input is the password")
    parser.add_argument("--any-password", action="store_true",
                        help="send a password to Apple even if it does not look like an app-specific one")  # fmt: skip
    parser.add_argument("--name", help="name of the connection in the configuration")
    parser.add_argument("--profile", metavar="NAME", help="name of the profile; 'none' makes none")
    parser.add_argument("--primary", metavar="CALENDAR", help="where appointments are written; 'none' for nowhere")
    parser.add_argument("--conflicts", metavar="CALENDARS",
                        help="which calendars keep time busy, separated by commas; 'all', 'none'")  # fmt: skip
    parser.add_argument("--timezone", metavar="ZONE", help="time zone of the person, such as Europe/Berlin")
    parser.add_argument("--yes", action="store_true", help="ask nothing: take the defaults")
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
    url = _ask_url(arguments, questions, kind)
    username = _ask_username(arguments, questions, kind)
    _refuse_twice(place, kind, url, username, arguments.name)
    if username:
        _refuse_clear_text(url, kind, questions)
    connection = Connection(_name(arguments, place, kind, url, username), kind, url, username)
    if arguments.password_file is not None:
        password = read_password(FromFile(arguments.password_file), state, os.environ)
    found = _log_in(connection, password, questions, force=arguments.any_password)
    if isinstance(found, int):
        return found
    password, calendars = found
    print_calendars(connection, calendars)
    profile = ask_profile(arguments, questions, connection, calendars, place.config)
    if not questions.confirm(f"Write {place.file_for(connection.name)}", default=True):
        raise CommandFailed("stopped", fix="nothing was saved")
    text = render(connection, profile, has_password=password is not None, label=label_of_this_machine())
    file = save(place, connection.name, text, password, state)
    print(f"wrote {file}")
    if password is not None:
        print(f"stored the password, encrypted, as credential {connection.name} in {state}")
    print(f"next: {_next(place)}")
    return ExitStatus.OK


def _next(place: Place) -> str:
    if place.config is not None:
        return "`busyd reload` if the daemon is running, else `busyd run`"
    if place.main == SYSTEM_CONFIG:
        return "`systemctl enable --now busyd`"
    service = f"`--config {SYSTEM_CONFIG} --state {SERVICE.state}` would have set up the system's own service"
    return f"`busyd run` ({service})"


def label_of_this_machine() -> str:
    """What to call the password at Apple's, so that it can be told apart and revoked alone."""
    return f"busyd@{socket.gethostname().partition('.')[0] or 'localhost'}"


def parse_apple_id(text: str) -> str:
    """An Apple ID as it is sent. Raises ValueError for what cannot be one here."""
    apple_id = text.strip()
    if re.fullmatch(r"[+(]?[\d\s()./-]{5,}", apple_id):
        message = (
            "this is a phone number, which iCloud's calendar service does not take: use the e-mail address of the "
            "Apple ID (account.apple.com > Sign-In and Security > Email & Phone Numbers shows it, or adds one)"
        )
        raise ValueError(message)
    if not re.fullmatch(r"[^\s@:]+@[^\s@:]+\.[^\s@:]+", apple_id) or not apple_id.isprintable():
        message = "an Apple ID is an e-mail address, such as anna@icloud.com; it need not be one of Apple's"
        raise ValueError(message)
    return apple_id


def _ask_url(arguments: argparse.Namespace, questions: Questions, kind: ConnectionKind) -> str:
    if kind is ConnectionKind.ICLOUD and not arguments.url:
        return ICLOUD_URL
    schemes = ("https", "http", "webcal", "webcals") if kind is ConnectionKind.ICS else ("https", "http")

    def parse(text: str) -> str:
        split_url(text.strip(), schemes)
        return text.strip()

    return _given_or_asked(questions, arguments.url, "Address of the server", parse, option="--url URL")


def _ask_username(arguments: argparse.Namespace, questions: Questions, kind: ConnectionKind) -> str:
    if kind is ConnectionKind.ICLOUD:
        return _given_or_asked(questions, arguments.username, "Apple ID", parse_apple_id, option="--username NAME")

    def parse(text: str) -> str:
        if ":" in text or not text.strip().isprintable():
            raise ValueError("a user name holds no ':' and no control characters")
        return text.strip()

    if kind is ConnectionKind.ICS:
        return parse(arguments.username or "")
    return _given_or_asked(questions, arguments.username, "User name", parse, option="--username NAME")


def _given_or_asked(
    questions: Questions, given: str | None, question: str, parse: Callable[[str], str], *, option: str
) -> str:
    if given is None:
        return questions.ask(question, parse, option=option)
    try:
        return parse(given)
    except ValueError as error:
        raise CommandFailed(str(error), fix=f"correct {option}; nothing was saved", status=ExitStatus.USAGE) from None


def _refuse_twice(place: Place, kind: ConnectionKind, url: str, username: str, name: str | None) -> None:
    """Connecting the same account again is mostly an attempt to replace its password."""
    if name in _taken(place):
        message = f"there is a connection or a stored password named {name} already"
        raise CommandFailed(message, fix="choose another --name; nothing was saved", status=ExitStatus.USAGE)
    for known, settings in (place.config.connections if place.config else {}).items():
        connection = settings.connection
        same = (connection.kind, connection.url, connection.username.casefold()) == (kind, url, username.casefold())
        if same and name is None:
            source = settings.password
            new_password = (
                f"`busyd credential set {source.name}`" if isinstance(source, FromCredential) else "its own place"
            )
            message = f"this account is connected already, as {known}"
            fix = f"a new password goes into {new_password}; --name connects it a second time"
            raise CommandFailed(message, fix=fix)


def _name(arguments: argparse.Namespace, place: Place, kind: ConnectionKind, url: str, username: str) -> str:
    if arguments.name is not None:
        try:
            return parse_name(arguments.name)
        except ValueError as error:
            message = f"--name: {error}"
            raise CommandFailed(message, fix="nothing was saved", status=ExitStatus.USAGE) from None
    parts = urlsplit(url)
    path = parts.path.rstrip("/").rpartition("/")[2].removesuffix(".ics")
    wished = username.partition("@")[0] or path or (parts.hostname or "").partition(".")[0]
    plain = re.sub(r"[^a-z0-9]+", "-", wished.lower()).strip("-")[:40].strip("-") or kind.value
    taken = _taken(place)
    numbered = (f"{plain}-{number}" for number in range(2, 1000))
    return next(name for name in (plain, *numbered) if name not in taken and not os.path.lexists(place.file_for(name)))


def _refuse_clear_text(url: str, kind: ConnectionKind, questions: Questions) -> None:
    """A password crosses a network unencrypted only on the person's word; iCloud's never does."""
    parts = urlsplit(url)
    if parts.scheme != "http" or kind is ConnectionKind.ICLOUD or is_loopback_host(parts.hostname or ""):
        return
    print_note("With http the password would cross the network unencrypted: use https where the server has it.")
    if not questions.confirm("Send it unencrypted all the same", default=False):
        message = "the password was not sent, and nothing was saved"
        raise CommandFailed(message, fix="write https in the address", status=ExitStatus.USAGE)


def _taken(place: Place) -> set[str]:
    """Names that would meet another connection, or the stored password of one."""
    known = place.config.connections if place.config else {}
    sources = [settings.password for settings in known.values()]
    return {*known, *(source.name for source in sources if isinstance(source, FromCredential))}


def _log_in(
    connection: Connection, given: Secret | None, questions: Questions, *, force: bool
) -> tuple[Secret | None, tuple[RemoteCalendar, ...]] | int:
    """A password that works and the calendars it opens, or the status to end with."""
    if not connection.username:
        found = asyncio.run(_try(connection, None))
        return found if isinstance(found, tuple) else STATUS_OF[found]
    icloud = connection.kind is ConnectionKind.ICLOUD
    if given is None and icloud:
        print(_STEPS.format(label=label_of_this_machine()))
    outcome = Outcome.LOGIN
    for _ in range(_LOGINS if given is None and questions.person_present else 1):
        password = given or questions.secret("App-specific password" if icloud else "Password")
        if icloud:
            password = Secret(normalise_app_specific(password.reveal()))
            _refuse_ordinary(password, questions, force=force)
        found = asyncio.run(_try(connection, password))
        if isinstance(found, tuple):
            return found
        outcome = found
        if outcome is not Outcome.LOGIN:
            break
    print_note("       nothing was saved")
    return STATUS_OF[outcome]


def _refuse_ordinary(password: Secret, questions: Questions, *, force: bool) -> None:
    """Keep the password of the Apple Account off the wire, unless the person insists."""
    if force or looks_app_specific(password.reveal()):
        return
    print_note(
        "This does not look like an app-specific password (four times four letters). If it is the password of your "
        "Apple Account: iCloud refuses it here, and it should not be typed into programs. It was not sent."
    )
    if not questions.confirm("Send it to Apple all the same", default=False):
        fix = "make an app-specific password at account.apple.com > Sign-In and Security > App-Specific Passwords"
        raise CommandFailed(
            "the password was not sent, and nothing was saved", fix=fix, status=ExitStatus.LOGIN_REFUSED
        )


async def _try(
    connection: Connection, password: Secret | None
) -> tuple[Secret | None, tuple[RemoteCalendar, ...]] | Outcome:
    """Log in once; failing that, tell why."""
    print_note(f"Trying {urlsplit(connection.url).hostname} ...")
    async with open_contact(connection, password, SystemClock()) as contact:
        try:
            calendars = await contact.list_calendars()
        except RemoteError as error:
            diagnosis = await contact.explain(error)
            print_diagnosis(diagnosis)
            return diagnosis.outcome
        if clock := describe_clock(contact.observer.skew()):
            print_note(f"Mind: {clock}; set it right, or what busyd says of now is wrong.")
    return password, calendars
