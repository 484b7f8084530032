"""One delivery: only to addresses that were checked, never redirected, and bounded whatever the receiver sends back."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from busyd.credentials import Secret
from busyd.credentials.webhooks import derive_secret, sign
from busyd.errors import RemoteError, UserError
from busyd.period import Instant
from busyd.remote.errors import Trouble, Unreachable
from busyd.remote.webhooks import AddressRefused, WebhookMessage, WebhookTarget, deliver, webhook_address
from busyd.remote.wire import Answer, TransferLimits
from tests.remote.test_reaching import certificate

NOW = Instant(1_795_435_200)
MESSAGE = WebhookMessage("msg_hook_1", b'{"id":1}')
SECRET = derive_secret(Secret("m" * 64), "hook", generation=0)
QUICK = TransferLimits(connect=2.0, idle=0.3, total=0.5, parallel=1)
OK = b"HTTP/1.1 200 OK\r\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(answer: Serve, **settings: Any) -> AsyncIterator[int]:
    """A receiver that does what `answer` says once a request is there; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await answer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, **settings)
    async with server:
        yield server.sockets[0].getsockname()[1]


def saying(text: bytes) -> Serve:
    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(text)
        await writer.drain()

    return answer


async def post(url: str, *, private: bool = True, limits: TransferLimits = QUICK) -> Answer:
    target = WebhookTarget(webhook_address(url), private=private)
    return await deliver(target, MESSAGE, secrets=[SECRET], now=NOW, limits=limits)


def resolving_to(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Every name leads to these addresses, one after the other, as that of somebody who rebinds it does."""
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        ip = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        found = (socket.AF_INET6, (ip, port, 0, 0)) if ":" in ip else (socket.AF_INET, (ip, port))
        return [(found[0], socket.SOCK_STREAM, socket.IPPROTO_TCP, "", found[1])]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "ip",
    ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "100.100.100.200", "fd00:ec2::254"],
)
@pytest.mark.parametrize("private", [True, False])
async def test_a_name_that_leads_to_metadata_or_a_link_local_address_is_never_contacted(
    monkeypatch: pytest.MonkeyPatch, ip: str, private: bool
) -> None:
    resolving_to(monkeypatch, ip)
    with pytest.raises(AddressRefused):
        await post("https://receiver.example/", private=private)


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd12::1", "0.0.0.0"])
async def test_a_hook_made_for_the_internet_is_not_sent_into_the_private_network(
    monkeypatch: pytest.MonkeyPatch, ip: str
) -> None:
    resolving_to(monkeypatch, ip)
    with pytest.raises(AddressRefused):
        await post("https://receiver.example/", private=False)


async def test_a_hook_of_the_private_network_is_not_sent_unencrypted_through_the_internet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolving_to(monkeypatch, "8.8.8.8")
    with pytest.raises(AddressRefused):
        await post("http://receiver.example/")


async def test_a_name_is_resolved_once_so_that_nobody_can_answer_the_check_otherwise_than_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(saying(OK + b"\r\n")) as port:
        asked = resolving_to(monkeypatch, "127.0.0.1", "169.254.169.254")
        assert (await post(f"http://receiver.example:{port}/")).status == 200
        assert asked == ["receiver.example"]
        with pytest.raises(AddressRefused):
            await post(f"http://receiver.example:{port}/")


async def test_a_name_server_that_hangs_takes_no_thread_from_anybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait(60) and [])
    waiting = [asyncio.ensure_future(post("http://receiver.example/", limits=TransferLimits())) for _ in range(64)]
    try:
        await asyncio.sleep(0)
        assert await asyncio.wait_for(asyncio.to_thread(lambda: "served"), 30) == "served"
    finally:
        released.set()
        await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("host", ["2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518"])
async def test_an_address_in_another_notation_is_not_contacted_either(host: str) -> None:
    with pytest.raises(RemoteError) as caught:
        await post(f"http://{host}/")
    # Only whole dotted quads pass for an address; what the resolver makes of the others is checked when it connects.
    kind = caught.value.kind if isinstance(caught.value, Unreachable) else None
    assert isinstance(caught.value, AddressRefused) or kind in (Trouble.DNS, Trouble.PROTOCOL)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "https://[fe80::1]/", "http://[::ffff:a9fe:a9fe]/"])
def test_such_an_address_is_refused_as_it_is_written(url: str) -> None:
    with pytest.raises(UserError, match="nothing is ever sent there"):
        webhook_address(url)


async def test_a_redirect_comes_back_as_it_is() -> None:
    requests = []

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(1)
        writer.write(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")

    async with serving(answer) as port:
        assert (await post(f"http://127.0.0.1:{port}/")).status == 307
    assert requests == [1]


async def test_a_receiver_that_hangs_is_left_after_its_time() -> None:
    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()  # until the client closes

    async with serving(hang) as port:
        with pytest.raises(Unreachable) as caught:
            await post(f"http://127.0.0.1:{port}/")
    assert caught.value.kind is Trouble.TIMEOUT


async def test_a_receiver_that_trickles_its_answer_is_left_after_its_time() -> None:
    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(200):
            writer.write(b"X-%d: x\r\n" % number)
            await writer.drain()
            await asyncio.sleep(0.05)

    async with serving(trickle) as port:
        with pytest.raises(Unreachable) as caught:
            await post(f"http://127.0.0.1:{port}/")
    assert caught.value.kind is Trouble.TIMEOUT


@pytest.mark.parametrize("head", [b"Content-Length: 10000000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"])
async def test_a_body_without_an_end_is_not_read(head: bytes) -> None:
    written = 0

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(OK + head)
        while True:
            writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
            await writer.drain()
            written += 65536

    async with serving(pour) as port:
        assert (await post(f"http://127.0.0.1:{port}/", limits=TransferLimits(total=60.0))).status == 200
    assert written < 64 * 1024 * 1024


@pytest.mark.parametrize("text", [b"", b"HTTP/1.1 20", b"HTTP/1.1 200 OK\r\nContent-", b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_a_receiver_that_closes_early_or_speaks_something_else_has_not_taken_the_message(text: bytes) -> None:
    async with serving(saying(text)) as port:
        with pytest.raises(Unreachable) as caught:
            await post(f"http://127.0.0.1:{port}/")
    assert caught.value.kind in (Trouble.RESET, Trouble.PROTOCOL)


async def test_headers_without_an_end_are_not_kept() -> None:
    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        while True:
            writer.write(b"X-A: " + b"x" * 60_000)
            await writer.drain()

    async with serving(pour) as port:
        with pytest.raises(Unreachable):
            await post(f"http://127.0.0.1:{port}/", limits=TransferLimits(total=60.0))


async def test_a_certificate_that_nobody_vouches_for_is_not_accepted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, days=1))
    async with serving(saying(OK + b"\r\n"), ssl=context) as port:
        with pytest.raises(Unreachable) as caught:
            await post(f"https://127.0.0.1:{port}/")
    assert caught.value.kind is Trouble.TLS


def test_the_signature_is_that_of_the_specification() -> None:
    """The example of its own libraries."""
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    signature = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at=Instant(1614265330), body=body)
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
