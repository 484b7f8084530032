"""The configuration as read: frozen values, every default filled in. Only the service hands parts of it to rooms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, field

from busyd.address import ListenAddress, TcpAddress
from busyd.availability.profile import Profile
from busyd.config.errors import Place
from busyd.connection import Connection
from busyd.credentials import PasswordSource

DEFAULT_PORT: Final = 8377


DEFAULT_LISTEN: Final = TcpAddress("127.0.0.1", DEFAULT_PORT)


class Tls(Struct, frozen=True):
    """Files in PEM."""

    cert: Path
    key: Path


class ConnectionConfig(Struct, frozen=True):
    """An account or feed, and where its password is; None for a server or feed that asks for none."""

    connection: Connection
    password: PasswordSource | None


ProfileConfig = Profile
"""A profile needs nothing that only the configuration knows."""


class Config(Struct, frozen=True):
    """Everything the user wrote."""

    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    profiles: Mapping[str, ProfileConfig] = field(default_factory=dict)
    listen: tuple[ListenAddress, ...] = (DEFAULT_LISTEN,)
    tls: Tls | None = None
    behind_proxy: bool = False
    """A proxy of the user stands in front of every address: no request is from this machine, whatever it looks like."""
    hosts: tuple[str, ...] = ()
    """Further names, in lower case, under which clients or a proxy reach busyd (the Host check knows the others)."""
    local_access: Literal["freebusy", "none"] = "freebusy"
    """What a request from this machine may ask without a token."""
    cors: tuple[str, ...] = ()
    """Origins of web pages that may read answers, as browsers write them."""
    state: Path | None = None
    files: tuple[Path, ...] = ()
    """What was read, the main file first."""
    places: Mapping[str, Place] = field(default_factory=dict)
    """Where `cert`, `key`, each address of `listen` and each `password of NAME` are written: for faults that only show
    when they are used."""
    warnings: tuple[str, ...] = ()
    """Not wrong, but worth a line in the log: `FILE:LINE:COLUMN: message`."""
