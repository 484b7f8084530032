"""Which servers may receive the credentials of a connection. Pure: URLs in, a decision out.

URLs are parsed by a strict grammar of our own, and what it accepts is what is connected to, so no library can read a
host differently from the check (a tab inside a host once turned one into `caldav.icloud.com.evil.com`).
"""

import re
from collections.abc import Iterable
from typing import Final, Self
from urllib.parse import quote, urljoin

from msgspec import Struct

from busyd.connection import Connection, ConnectionKind
from busyd.errors import UserError

_URL: Final = re.compile(r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?([/?#][^\x00-\x20\x7f\\]*)?")
_ICLOUD: Final = re.compile(r"(p\d{1,3}-)?caldav\.icloud\.com", re.ASCII)
_ICLOUD_CHINA: Final = re.compile(rf"{_ICLOUD.pattern}\.cn", re.ASCII)
"""Run by another company; trusted only where the configured URL is there."""
_DEFAULT_PORT: Final = {"http": 80, "https": 443}


class UnsafeUrl(ValueError):
    """A text that is not a plain http or https URL."""


class Origin(Struct, frozen=True):
    """Scheme, lower-case ASCII host and port (RFC 6454): whom a request goes to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"

    @property
    def is_loopback(self) -> bool:
        """True for `localhost` and the loopback addresses, written as such."""
        return self.host in ("localhost", "[::1]") or re.fullmatch(r"127\.\d+\.\d+\.\d+", self.host) is not None

    @property
    def authority(self) -> str:
        """The Host header: without the default port."""
        return self.host if self.port == _DEFAULT_PORT[self.scheme] else f"{self.host}:{self.port}"


class Address(Struct, frozen=True):
    """A parsed URL: the origin, and the path (percent-encoded, with its query, starting with a slash)."""

    origin: Origin
    path: str

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"

    @classmethod
    def parse(cls, url: str) -> Self:
        """Raises UnsafeUrl for another scheme, user info, white space, control characters, or a host not in ASCII."""
        match = _URL.fullmatch(url)
        if match is None:
            raise UnsafeUrl("not a plain http or https URL")
        scheme, host, port_text, rest = match[1], match[2].lower(), match[3], match[4] or "/"
        port = int(port_text) if port_text else _DEFAULT_PORT[scheme]
        if not 0 < port < 65536:
            raise UnsafeUrl("not a port")
        path = quote(rest.partition("#")[0], safe="/?%!$&'()*+,;=:@~-._[]")
        return cls(Origin(scheme, host, port), path if path.startswith("/") else "/" + path)

    def join(self, location: str) -> "Address":
        """Where a Location header leads from here. Raises UnsafeUrl."""
        try:
            return Address.parse(urljoin(str(self), location))
        except ValueError as error:
            raise UnsafeUrl(str(error)) from None

    def at(self, origin: Origin) -> "Address":
        """The same path on another server."""
        return Address(origin, self.path)


class AllowList:
    """The servers a connection trusts with its credentials."""

    def __init__(self, connection: Connection, *, extra: Iterable[str] = ()) -> None:
        """`extra` are further trusted origins, for tests with two ports of one host.

        Raises UserError when the URL of the connection is unusable, or is not iCloud's for an iCloud connection.
        """
        self._kind = connection.kind
        self._extra = frozenset(Address.parse(url).origin for url in extra)
        self.start = _start_of(connection)
        if self._kind is ConnectionKind.ICLOUD and not self.permits(self.start.origin):
            message = f"connection {connection.name}: {self.start.origin.host} is not iCloud"
            raise UserError(message, fix="leave out url, or set kind: caldav for another server")

    def permits(self, origin: Origin) -> bool:
        """True when the password of this connection may be sent there."""
        if origin in self._extra:
            return True
        own = self.start.origin
        if self._kind is ConnectionKind.ICLOUD:
            if own.is_loopback and not self._extra:
                # A simulated iCloud on this machine: its shard is another port of the same address.
                return origin.host == own.host and (origin.scheme == own.scheme or origin.scheme == "https")
            hosts = _ICLOUD_CHINA if _ICLOUD_CHINA.fullmatch(own.host) else _ICLOUD
            return origin.scheme == "https" and origin.port == 443 and hosts.fullmatch(origin.host) is not None
        if origin == own:
            return True
        # Apple's server upgrades http:8008 to https:8443 on the same host; a downgrade is never followed.
        return own.scheme == "http" and origin.scheme == "https" and origin.host == own.host

    def is_shard(self, origin: Origin) -> bool:
        """True for an iCloud host other than the one configured, which may stop serving the account."""
        return self._kind is ConnectionKind.ICLOUD and origin != self.start.origin


def _start_of(connection: Connection) -> Address:
    try:
        return Address.parse(to_ascii(connection.url))
    except UnsafeUrl:
        message = f"connection {connection.name}: its url is not a plain http or https address"
        raise UserError(
            message, fix="use the form https://calendar.example.org/, without user name or password"
        ) from None


def to_ascii(url: str) -> str:
    """A URL as a person wrote it, with a non-ASCII host in its ASCII form (IDNA). Raises UnsafeUrl."""
    match = re.fullmatch(r"(https?://)([^/?#:@]+)(.*)", url.strip(), re.DOTALL | re.IGNORECASE)
    if match is None or match[2].isascii():
        return url.strip()
    try:
        return f"{match[1].lower()}{match[2].encode('idna').decode('ascii')}{match[3]}"
    except UnicodeError:
        raise UnsafeUrl("not a host name") from None
