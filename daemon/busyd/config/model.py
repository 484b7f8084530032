"""The configuration as read: frozen values with every default filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, field

from busyd.address import ListenAddress, TcpAddress
from busyd.availability.profile import Profile
from busyd.config.errors import SourceLocation
from busyd.connection import Connection
from busyd.credentials import PasswordSource

DEFAULT_PORT: Final = 8377


DEFAULT_LISTEN: Final = TcpAddress("127.0.0.1", DEFAULT_PORT)


class Tls(Struct, frozen=True):
    """Paths of PEM files."""

    cert: Path
    key: Path


class ConnectionConfig(Struct, frozen=True):
    """An account or feed, and the source of its password; None for a server or feed that needs none."""

    connection: Connection
    password: PasswordSource | None


ProfileConfig = Profile
"""A profile has no settings beyond those that `availability/` uses."""


class StoreConfig(Struct, frozen=True):
    """A database in place of the files in the state directory."""

    url: str
    """As libpq takes it, without a password."""
    password: PasswordSource | None = None


class Config(Struct, frozen=True):
    """Everything the user wrote."""

    connections: Mapping[str, ConnectionConfig] = field(default_factory=dict)
    profiles: Mapping[str, ProfileConfig] = field(default_factory=dict)
    listen: tuple[ListenAddress, ...] = (DEFAULT_LISTEN,)
    tls: Tls | None = None
    behind_proxy: bool = False
    """A reverse proxy is in front of every address: no request counts as local, whatever its source address."""
    public_url: str = ""
    """`https://HOST`: how others reach busyd, in addresses that are handed out; empty when that is not known."""
    hosts: tuple[str, ...] = ()
    """Further names, in lower case, by which clients or a proxy reach busyd, for the Host check."""
    local_access: Literal["freebusy", "none"] = "freebusy"
    """What a local request may ask without a token."""
    cors: tuple[str, ...] = ()
    """Origins of web pages that may read answers, as browsers write them."""
    time_zones: Mapping[str, str] = field(default_factory=dict)
    """Names that calendars use and nobody knows, in the form of `zone_key` -> IANA names."""
    log: Literal["text", "json"] = "text"
    state: Path | None = None
    store: StoreConfig | None = None
    """None: files in the state directory."""
    files: tuple[Path, ...] = ()
    """What was read, the main file first."""
    locations: Mapping[str, SourceLocation] = field(default_factory=dict)
    """Where `cert`, `key`, `store`, each address of `listen` and each `password of NAME` are written: for faults that
    appear only in use."""
    warnings: tuple[str, ...] = ()
    """Not faults, but worth a line in the log: `FILE:LINE:COLUMN: message`."""
