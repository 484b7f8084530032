"""The section `connections`: accounts and feeds, and where their passwords come from."""

import os
import stat
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from busyd.advice.apple import CREATE_APP_PASSWORD, NOT_APP_SPECIFIC
from busyd.config.errors import SourceLocation, one_of
from busyd.config.model import ConnectionConfig
from busyd.config.parsers import is_loopback_host, parse_duration, parse_flag, parse_name, parse_path, split_url
from busyd.config.permission import how_to_make_private
from busyd.config.reader import ConfigReader, folder_of
from busyd.config.tree import Entry, MappingNode, Node, ScalarNode
from busyd.connection import ICLOUD_URL, Connection, ConnectionKind, PasswordShape, Privacy
from busyd.credentials import (
    FromCommand,
    FromCredential,
    FromEnvironment,
    FromFile,
    Literal,
    PasswordSource,
    Secret,
    is_credential_name,
    looks_app_specific,
)
from busyd.spelling import did_you_mean

LEAST_POLL: Final = timedelta(seconds=5)
DEFAULT_POLL: Final = timedelta(seconds=60)
LEAST_TIMEOUT: Final = timedelta(seconds=1)
DEFAULT_TIMEOUT: Final = timedelta(seconds=60)
MOST_TIMEOUT: Final = timedelta(minutes=10)
"""What an exchange may take in all."""

_KEYS: Final = (
    "kind",
    "url",
    "username",
    "password",
    "poll",
    "timeout",
    "user_agent",
    "allow_private",
    "allow_password_shape",
    "privacy",
)
_SOURCES: Final = ("credential", "file", "env", "command")
_SOURCE_FORMS: Final = "{credential: NAME}, {file: PATH}, {env: NAME} or {command: [PROGRAM, ARGUMENT]}"


def read_connections(reader: ConfigReader, entry: Entry | None) -> dict[str, ConnectionConfig]:
    """All connections, including those with faults, so that references to them are not reported as well."""
    connections = {}
    for name, written in reader.mapping(entry, "connections").items():
        try:
            parse_name(name)
        except ValueError as error:
            reader.fault(written.location, f"connection {error}")
        connections[name] = _read_connection(reader, name, entry=written)
    sources = [settings.password for settings in connections.values()]
    hidden = frozenset(source.name for source in sources if isinstance(source, FromEnvironment))
    return {name: _hiding(settings, hidden) for name, settings in connections.items()}


def _hiding(settings: ConnectionConfig, hidden: frozenset[str]) -> ConnectionConfig:
    """The same, where no program gets to see the passwords in the environment."""
    if not isinstance(settings.password, FromCommand):
        return settings
    return replace(settings, password=replace(settings.password, hidden=hidden))


def _read_connection(reader: ConfigReader, name: str, *, entry: Entry) -> ConnectionConfig:
    what = f"connection {name}"
    keys = reader.section(entry, what, known=_KEYS)
    kind = reader.choice(keys.get("kind"), "kind", options=tuple(ConnectionKind), default=ConnectionKind.ICLOUD)
    password = read_password_source(reader, keys.get("password"))
    if "password" in keys:
        reader.locations[f"password of {name}"] = keys["password"].value.location
    connection = Connection(
        name,
        kind,
        url=_read_url(reader, entry.location, what=what, kind=kind, keys=keys),
        username=reader.value(keys.get("username"), "username", parse=_username, default=""),
        poll=_read_poll(reader, keys.get("poll")),
        timeout=_read_timeout(reader, keys.get("timeout")),
        user_agent=reader.value(keys.get("user_agent"), "user_agent", parse=_user_agent, default=""),
        allow_private=reader.value(keys.get("allow_private"), "allow_private", parse=parse_flag, default=False),
        allow_password_shape=reader.choice(
            keys.get("allow_password_shape"),
            "allow_password_shape",
            options=tuple(PasswordShape),
            default=PasswordShape.APPLE,
        ),
        privacy=reader.choice(keys.get("privacy"), "privacy", options=tuple(Privacy), default=Privacy.FULL),
    )
    _check_login(reader, entry.location, what=what, connection=connection, keys=keys)
    is_any = connection.allow_password_shape is PasswordShape.ANY
    if isinstance(password, Literal) and kind is ConnectionKind.ICLOUD and not is_any:
        _check_shape(reader, keys["password"].value.location, password=password)
    return ConnectionConfig(connection, password)


def _read_url(
    reader: ConfigReader, location: SourceLocation, *, what: str, kind: ConnectionKind, keys: Mapping[str, Entry]
) -> str:
    schemes = ("https", "http", "webcal", "webcals") if kind is ConnectionKind.ICS else ("https", "http")

    def parse(text: str) -> str:
        if "kind" not in keys and text.lower().startswith(("webcal:", "webcals:")):
            message = "this is the address of a feed: add 'kind: ics'"
            raise ValueError(message)
        split_url(text, schemes)
        return text

    if "url" not in keys:
        if kind is not ConnectionKind.ICLOUD and "kind" in keys:
            example = "webcal://example.org/holidays.ics" if kind is ConnectionKind.ICS else "https://dav.example.org/"
            reader.fault(location, f"{what} needs a url, such as {example}")
        return ICLOUD_URL
    url = reader.value(keys["url"], "url", parse=parse, default="")
    if (
        url.startswith("http:")
        and kind is not ConnectionKind.ICS
        and not is_loopback_host(split_url(url, schemes).hostname or "")
    ):
        message = "url: the password would cross the network unencrypted"
        if kind is ConnectionKind.ICLOUD:
            reader.fault(keys["url"].value.location, f"{message}; use https for iCloud")
        elif "password" in keys:
            reader.warn(keys["url"].value.location, f"{message}; use https if the server supports it")
    return url


def _username(text: str) -> str:
    if ":" in text:
        message = "a user name cannot contain ':' (RFC 7617)"
        raise ValueError(message)
    return text.strip()


def _read_poll(reader: ConfigReader, entry: Entry | None) -> timedelta:
    poll = reader.value(entry, "poll", parse=parse_duration, default=DEFAULT_POLL)
    if entry is not None and poll < LEAST_POLL:
        reader.fault(entry.value.location, "poll: must be at least 5s")
    return poll


def _read_timeout(reader: ConfigReader, entry: Entry | None) -> timedelta:
    timeout = reader.value(entry, "timeout", parse=parse_duration, default=DEFAULT_TIMEOUT)
    if entry is not None and not LEAST_TIMEOUT <= timeout <= MOST_TIMEOUT:
        reader.fault(entry.value.location, "timeout: must be between 1s and 10m")
    return timeout


def _user_agent(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        message = "only printable ASCII characters can be sent"
        raise ValueError(message)
    return text.strip()


def _check_login(
    reader: ConfigReader, location: SourceLocation, *, what: str, connection: Connection, keys: Mapping[str, Entry]
) -> None:
    icloud = connection.kind is ConnectionKind.ICLOUD
    if "username" not in keys and (icloud or "password" in keys):
        reader.fault(location, f"{what} needs a username{', the Apple ID' if icloud else ''}")
    if "password" not in keys and (icloud or "username" in keys):
        steps = f"{CREATE_APP_PASSWORD}, " if icloud else ""
        name = connection.name
        store = f"store it with `busyd credential set {name}`, and add 'password: {{credential: {name}}}'"
        reader.fault(location, f"{what} needs a password: {steps}{store}")


def read_password_source(reader: ConfigReader, entry: Entry | None) -> PasswordSource | None:
    """Where a password comes from; None without one, or when what is written has a fault."""
    if entry is None:
        return None
    node = entry.value
    match node:
        case ScalarNode(broken=True):
            return None
        case ScalarNode(text=text) if text:
            _check_private(reader, node)
            return Literal(Secret(text))
        case MappingNode(entries=entries) if len(entries) == 1 and next(iter(entries)) in _SOURCES:
            ((source, value),) = entries.items()
            return _read_source(reader, source, entry=value)
        case MappingNode(entries=entries):
            # A typing mistake can turn the password itself into a key, so unknown keys are not quoted.
            near = [did_you_mean(key, _SOURCES) for key in entries if key not in _SOURCES]
            reader.fault(node.location, f"password: expected {_SOURCE_FORMS}{near[0] if len(near) == 1 else ''}")
        case _:
            reader.fault(node.location, f"password: expected {_SOURCE_FORMS}")
    return None


def _read_source(reader: ConfigReader, source: str, *, entry: Entry) -> PasswordSource | None:
    what = f"password: {source}"
    match source:
        case "credential":
            name = reader.value(entry, what, parse=_credential_name, default="")
            return FromCredential(name) if name else None
        case "env":
            variable = reader.value(entry, what, parse=_variable_name, default="")
            return FromEnvironment(variable) if variable else None
        case "file":
            folder = folder_of(entry.location)
            path = reader.value(
                entry, what, parse=lambda text: parse_path(text, folder, environment=reader.environment), default=None
            )
            return FromFile(path) if path is not None else None
    if isinstance(entry.value, ScalarNode):
        reader.fault(
            entry.value.location, f"{what}: expected a list of program and arguments, such as [pass, show, icloud]"
        )
        return None
    argv = tuple(argument for _, argument in reader.values(entry, what, parse=str))
    if not argv or not argv[0]:
        reader.fault(entry.value.location, f"{what}: the list is empty")
        return None
    return FromCommand(argv)


def _credential_name(text: str) -> str:
    if looks_app_specific(text) and "-" in text:
        message = "this looks like the password itself; choose a name, and store the password under that name"
        raise ValueError(message)
    if not is_credential_name(text):
        message = "a name consists of letters, digits, '_', '-' and '.'"
        raise ValueError(message)
    return text


def _variable_name(text: str) -> str:
    if not (text.isascii() and text.isidentifier()):
        message = "expected the name of an environment variable, without '$'"
        raise ValueError(message)
    return text


def _check_private(reader: ConfigReader, node: Node) -> None:
    """A plain-text password is accepted only in the user's own file, and if nobody else can read it."""
    path = Path(node.location.file)
    try:
        status = path.stat()
    except OSError:
        return
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077 or status.st_uid != os.geteuid():
        reason = f"other users can read it (mode {mode:04o})" if mode & 0o077 else "another user owns it"
        reader.fault(
            node.location,
            f"this file contains a password, and {reason}: "
            f"run {how_to_make_private(path)}, or use {one_of(_SOURCES)} instead",
        )
    else:
        reader.warn(node.location, "the password is stored in plain text; `busyd credential set` would encrypt it")


def _check_shape(reader: ConfigReader, location: SourceLocation, *, password: Literal) -> None:
    if not looks_app_specific(password.secret.reveal()):
        reader.warn(location, f"{NOT_APP_SPECIFIC}; {CREATE_APP_PASSWORD}")
