"""The addresses busyd listens on: sockets and their files, TLS, and who counts as being on this machine."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from busyd.address import ListenAddress, TcpAddress, UnixAddress, is_loopback
from busyd.errors import Misconfigured, TryAgain, UserError
from busyd.http.app import build_app
from busyd.http.listeners import check_address, start_listeners
from busyd.http.settings import EndpointSettings
from tests.http.conftest import Served
from tests.http.small_backend import SmallBackend


async def test_a_unix_socket_is_local_and_only_for_its_group(tmp_path: Path) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    listeners = await start_listeners(
        build_app(backend, EndpointSettings()), [UnixAddress(path), TcpAddress("127.0.0.1", 0)]
    )
    assert path.stat().st_mode & 0o777 == 0o660
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
        async with session.get("http://localhost/v1/profiles") as answer:
            assert answer.status == 200
        async with session.get("http://evil.example/v1/profiles") as answer:
            assert answer.status == 421
        async with session.get("http://localhost/v1/status") as answer:
            assert answer.status == 401
    await listeners.close()
    backend.close()


async def test_the_file_of_a_unix_socket_goes_with_the_daemon_that_made_it(tmp_path: Path) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    listeners = await start_listeners(build_app(backend, EndpointSettings()), [UnixAddress(path)])
    await listeners.close()
    assert not path.exists()
    listeners = await start_listeners(build_app(backend, EndpointSettings()), [UnixAddress(path)])
    path.unlink()
    path.write_text("somebody else's")
    await listeners.close()
    assert path.exists()
    backend.close()


async def test_the_socket_of_a_busyd_that_was_killed_is_replaced(tmp_path: Path) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
    listeners = await start_listeners(build_app(backend, EndpointSettings()), [UnixAddress(path)])
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://localhost/healthz") as answer,
    ):
        assert answer.status == 200
    await listeners.close()
    backend.close()


async def test_the_socket_of_a_program_that_lives_is_left_alone(tmp_path: Path) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(TryAgain, match="address already in use"):
            await start_listeners(build_app(backend, EndpointSettings()), [UnixAddress(path)])
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    backend.close()


@pytest.mark.parametrize("kind", ["a file", "a directory", "a link to nothing", "another kind of socket"])
async def test_what_is_no_socket_is_never_removed(tmp_path: Path, kind: str) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
        match kind:
            case "a file":
                path.write_text("precious")
            case "a directory":
                path.mkdir()
            case "a link to nothing":
                path.symlink_to("nothing")
            case _:
                datagrams.bind(str(path))
        before = path.lstat()
        with pytest.raises(Misconfigured, match="cannot listen on unix:"):
            await start_listeners(build_app(backend, EndpointSettings()), [UnixAddress(path)])
    assert path.lstat().st_ino == before.st_ino
    backend.close()


@pytest.mark.parametrize(
    ("address", "family", "fix"),
    [
        (UnixAddress(Path("/nonexistent/busyd.sock")), TryAgain, "RuntimeDirectory="),
        (TcpAddress("192.0.2.1", 0), TryAgain, "does not have that address now"),
    ],
)
async def test_an_address_that_cannot_be_had_comes_with_what_to_do(
    tmp_path: Path, address: ListenAddress, family: type[UserError], fix: str
) -> None:
    backend = SmallBackend(tmp_path)
    with pytest.raises(family, match="cannot listen") as refused:
        await start_listeners(build_app(backend, EndpointSettings(behind_proxy=True)), [address])
    assert fix in refused.value.fix
    backend.close()


async def test_behind_a_proxy_a_unix_socket_is_not_local(tmp_path: Path) -> None:
    backend, path = SmallBackend(tmp_path), tmp_path / "busyd.sock"
    listeners = await start_listeners(build_app(backend, EndpointSettings(behind_proxy=True)), [UnixAddress(path)])
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.get("http://localhost/v1/profiles") as answer,
    ):
        assert answer.status == 401
    await listeners.close()
    backend.close()


async def test_tls_is_spoken_when_there_is_a_certificate(tmp_path: Path) -> None:
    backend, certificate = SmallBackend(tmp_path), self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listeners = await start_listeners(build_app(backend, EndpointSettings()), [TcpAddress("127.0.0.1", 0)], tls=context)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"https://localhost:{listeners.ports[0]}/v1/profiles", ssl=trusting) as answer,
    ):
        assert answer.status == 200
    await listeners.close()
    backend.close()


@pytest.mark.parametrize(("listen", "status"), [("0.0.0.0", 401), ("127.0.0.1", 200)])
async def test_an_address_that_others_can_reach_wants_a_token_from_this_machine_too(
    tmp_path: Path, listen: str, status: int
) -> None:
    backend, certificate = SmallBackend(tmp_path), self_signed(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    listeners = await start_listeners(build_app(backend, EndpointSettings()), [TcpAddress(listen, 0)], tls=context)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with aiohttp.ClientSession(f"https://localhost:{listeners.ports[0]}") as session:
        for path in ("/v1/profiles", "/metrics", "/"):
            async with session.get(path, ssl=trusting) as answer:
                assert answer.status == status
        login = {"Authorization": f"Bearer {backend.token('anna')}"}
        async with session.get("/v1/profiles", ssl=trusting, headers=login) as answer:
            assert answer.status == 200
    await listeners.close()
    backend.close()


def self_signed(directory: Path) -> Path:
    """A certificate for localhost and its key, in one file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = directory / "tls.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "busy.example"])
def test_an_open_address_needs_tls_or_a_proxy(host: str) -> None:
    address = TcpAddress(host, 8377)
    with pytest.raises(UserError, match="unencrypted"):
        check_address(address, tls=False, behind_proxy=False)
    check_address(address, tls=True, behind_proxy=False)
    check_address(address, tls=False, behind_proxy=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost", "::ffff:127.0.0.1"])
def test_loopback_is_known_in_all_its_forms(host: str) -> None:
    assert is_loopback(host)


async def test_an_address_that_is_taken_may_be_free_later(served: Served) -> None:
    with pytest.raises(TryAgain, match="cannot listen"):
        await start_listeners(served.endpoint, [TcpAddress("127.0.0.1", served.port)])
