"""Names, certificates and addresses: why a server is not reached, told apart before any credential is sent."""

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from busyd.connection import Connection, ConnectionKind
from busyd.credentials import Secret
from busyd.dav.exchange import DavRequest
from busyd.errors import RemoteError
from busyd.remote.errors import PrivateAddress, Trouble, Unreachable
from busyd.remote.public import is_for_nobody, is_public
from busyd.remote.transport import Transport
from tests.remote.stage import PASSWORD, QUICK, StoppedClock, raw_server, reply


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("17.248.209.1", True),
        ("2a01:b740:a41::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.178.1", False),
        ("172.16.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:17.248.209.1", True),
        ("2002:7f00:1::", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::11f8:d101", True),
        ("localhost", False),
        ("192.0.0.192", False),
        ("198.18.0.1", False),
        ("64:ff9b:1::a00:1", False),
        ("fec0::1", False),
        ("::127.0.0.1", False),
        ("::8.8.8.8", False),
        ("3fff::1", False),
        ("2001::1", False),
        ("2001:db8::1", False),
        ("100::1", False),
        ("5f00::1", False),
        ("2002:a00:1::", False),
        ("2002:11f8:d101::", True),
        ("2606:4700::1111", True),
        ("8.8.8.8", True),
    ],
)
def test_addresses_of_the_local_network_are_known_in_every_clothing(address: str, expected: bool) -> None:
    assert is_public(address) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("fe80::1%eth0", True),
        ("fd00:ec2::254", True),
        ("100.100.100.200", True),
        ("nonsense", True),
        ("192.168.1.2", False),
        ("127.0.0.1", False),
    ],
)
def test_a_cloud_s_metadata_is_for_no_name(address: str, expected: bool) -> None:
    assert is_for_nobody(address) is expected


def resolve_to(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """Every name has this address, or none."""

    async def getaddrinfo(_: Any, __: str, port: int, **___: Any) -> list[Any]:
        if answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def failure_of(connection: Connection, context: Any = True) -> RemoteError:
    transport = Transport(connection, lambda: Secret(PASSWORD), clock=StoppedClock(), limits=QUICK, ssl_context=context)
    try:
        with pytest.raises(RemoteError) as caught:
            await transport.send(DavRequest("PROPFIND", connection.url))
        return caught.value
    finally:
        await transport.close()


ICLOUD = Connection("anna", ConnectionKind.ICLOUD, "https://caldav.icloud.com/", "anna")


async def test_a_name_that_does_not_resolve_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, None)
    error = await failure_of(ICLOUD)
    assert isinstance(error, Unreachable) and (error.kind, error.sent) == (Trouble.DNS, False)


async def test_icloud_at_a_private_address_is_not_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "127.0.0.1")
    assert isinstance(await failure_of(ICLOUD), PrivateAddress)


async def test_a_refused_connection_is_told_as_such() -> None:
    async with raw_server(reply()) as closing:
        url = closing.url
    error = await failure_of(Connection("t", ConnectionKind.CALDAV, url, "anna"))
    assert isinstance(error, Unreachable) and error.kind is Trouble.REFUSED


def certificate(folder: Path, *, days: int, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """A certificate for an address, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "busyd test")])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return chain, secret


async def test_a_server_that_speaks_no_tls_is_told_apart_from_one_with_a_bad_certificate() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    running = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with running:
        url = f"https://127.0.0.1:{running.sockets[0].getsockname()[1]}/"
        error = await failure_of(Connection("t", ConnectionKind.CALDAV, url, "anna"), ssl.create_default_context())
    assert isinstance(error, Unreachable) and error.kind is Trouble.NO_TLS
    assert "it does not speak TLS" in str(error)


@pytest.mark.parametrize(
    ("trusted", "days", "address", "detail"),
    [
        (False, 30, "127.0.0.1", "self-signed"),
        (True, -1, "127.0.0.1", "expired"),
        (True, 30, "127.0.0.9", "mismatch"),
    ],
)
async def test_a_certificate_that_does_not_hold_ends_it_before_the_login(
    tmp_path: Path, trusted: bool, days: int, address: str, detail: str
) -> None:
    chain, key = certificate(tmp_path, days=days, address=address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    seen = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.extend(await reader.read(1))
        writer.close()

    running = await asyncio.start_server(listen, "127.0.0.1", 0, ssl=context)
    async with running:
        url = f"https://127.0.0.1:{running.sockets[0].getsockname()[1]}/"
        store = ssl.create_default_context(cafile=str(chain) if trusted else None)
        error = await failure_of(Connection("t", ConnectionKind.CALDAV, url, "anna"), store)
    assert isinstance(error, Unreachable) and error.kind is Trouble.TLS
    assert detail in error.detail.lower()
    assert seen == b""
