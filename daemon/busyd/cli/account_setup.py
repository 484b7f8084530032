"""Connects one account, as `busyd setup` and `busyd connection add` do: asks, tries, lets choose, writes.

Nothing is saved before the login has worked.
"""

import argparse
import os
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from busyd.advice.apple import EMAIL_ADDRESSES
from busyd.cli.account_login import label_of_this_machine, log_in
from busyd.cli.exit_status import CommandFailed, ExitStatus
from busyd.cli.installation import Installation
from busyd.cli.questions import Questions
from busyd.cli.setup_choices import ask_profile, print_calendars
from busyd.cli.setup_file import ConfigTarget, find_place, render, save
from busyd.cli.stores import credentials_of
from busyd.cli.terminal import print_note
from busyd.config.parsers import is_loopback_host, parse_name, split_url
from busyd.connection import (
    ICLOUD_URL,
    Connection,
    ConnectionKind,
    PasswordShape,
)
from busyd.credentials import FromCredential, FromFile
from busyd.credentials.source import read_password

_WORDS: Final = re.compile(r"[A-Za-z]{2,12}([-_.][A-Za-z]{2,12}){0,3}")
_SAY_NOTHING: Final = frozenset(
    {"basic", "calendar", "calendars", "events", "feed", "ical", "ics", "private", "public"}
)


def connect_account(arguments: argparse.Namespace, installation: Installation) -> ConfigTarget | int:
    """Ask, try, choose, write; where it was written, or the exit status of what did not work."""
    installation.require_access()
    named = installation.path if installation.is_service else arguments.config
    place, state = find_place(named, os.environ), installation.state
    questions, store = Questions(accept_defaults=arguments.yes), credentials_of(installation)
    if store.is_shared:
        store.names()  # a database that is away, or a key that is missing, is told before anything is asked
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
    login = log_in(connection, password, questions=questions)
    if isinstance(login, int):
        return login
    password, calendars = login.password, login.listing.calendars
    print_calendars(connection, login.listing)
    profile = ask_profile(arguments, questions, connection=connection, calendars=calendars, config=place.config)
    if not questions.confirm(f"Write {place.file_for(connection.name)}", default=True):
        raise CommandFailed("stopped; nothing was saved")
    text = render(connection, profile, has_password=password is not None, label=label_of_this_machine())
    file = save(place, connection.name, text=text, password=password, store=store)
    print(f"wrote {file}")
    if password is not None:
        print(f"stored the encrypted password as credential {connection.name} in {store.where(connection.name)}")
    return place


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
    wished = username.partition("@")[0] or _name_of_address(url)
    plain = re.sub(r"[^a-z0-9]+", "-", wished.lower()).strip("-")[:40].strip("-") or kind.value
    taken = _taken(place)
    numbered = (f"{plain}-{number}" for number in range(2, 1000))
    return next(name for name in (plain, *numbered) if name not in taken and not os.path.lexists(place.file_for(name)))


def _name_of_address(url: str) -> str:
    """A name for a feed or an open server. The address of a feed may hold its secret, so only plain words are taken."""
    parts = urlsplit(url)
    last = parts.path.rstrip("/").rpartition("/")[2].removesuffix(".ics")
    if _WORDS.fullmatch(last) and last.lower() not in _SAY_NOTHING:
        return last
    labels = [label for label in (parts.hostname or "").split(".") if not label.isdigit()]
    return labels[-2] if len(labels) > 1 else "".join(labels)


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
