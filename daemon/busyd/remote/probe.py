"""A look at a server without credentials: whether its name resolves, which IP families reach it, its certificate.

For use where trust has failed or is not needed yet: nothing secret is sent by anything here.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from busyd.period import Instant, read_http_date
from busyd.remote.certificate import Certificate

if TYPE_CHECKING:
    from cryptography.x509 import Name

SECONDS: Final = 5.0
"""How long a single look may take."""
_HEAD_LIMIT: Final = 16 * 1024


class Reachability(Struct, frozen=True):
    """Whether a server can be reached over one IP family."""

    family: str
    """`IPv4` or `IPv6`."""
    addresses: tuple[str, ...]
    """As resolved; empty when the name has none in this family."""
    reached: bool
    """A connection to one of them was made."""
    reason: str = ""


async def fetch_certificate(host: str, port: int) -> tuple[Certificate | None, Instant | None]:
    """The certificate a server presents, unverified, and its Date header; None for what could not be read."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    certificate, date = None, None
    with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(
                host.strip("[]"), port, ssl=context, server_hostname=host.strip("[]"), limit=_HEAD_LIMIT
            )
            try:
                presented = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                certificate = _read_certificate(presented) if presented else None
                writer.write(f"HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode("ascii"))
                date = _date_of(await reader.readuntil(b"\r\n\r\n"))
            finally:
                writer.transport.abort()
    return certificate, date


async def reach(host: str, port: int) -> tuple[Reachability, Reachability]:
    """Try both IP families: IPv4, IPv6."""
    ipv4, ipv6 = await asyncio.gather(
        _reach_over(socket.AF_INET, host.strip("[]"), port=port),
        _reach_over(socket.AF_INET6, host.strip("[]"), port=port),
    )
    return ipv4, ipv6


async def _reach_over(family: socket.AddressFamily, host: str, *, port: int) -> Reachability:
    name = "IPv4" if family is socket.AF_INET else "IPv6"
    try:
        async with asyncio.timeout(SECONDS):
            resolved = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return Reachability(name, (), reached=False, reason="has no address")
    addresses = tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in resolved))
    reason = ""
    for address in addresses[:3]:
        try:
            async with asyncio.timeout(SECONDS):
                _, writer = await asyncio.open_connection(address, port, family=family)
        except TimeoutError:
            reason = "did not answer"
        except OSError as error:
            reason = "refused" if isinstance(error, ConnectionRefusedError) else "has no route"
        else:
            writer.transport.abort()
            return Reachability(name, addresses, reached=True)
    return Reachability(name, addresses, reached=False, reason=reason)


def _read_certificate(der: bytes) -> Certificate:
    from cryptography import x509

    presented = x509.load_der_x509_certificate(der)
    return Certificate(
        Instant(int(presented.not_valid_before_utc.timestamp())),
        Instant(int(presented.not_valid_after_utc.timestamp())),
        _name_of(presented.issuer),
    )


def _name_of(name: "Name") -> str:
    from cryptography.x509.oid import NameOID

    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            return str(attribute.value)[:80]
    return ""


def _date_of(head: bytes) -> Instant | None:
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "date":
            return read_http_date(value.strip())
    return None
