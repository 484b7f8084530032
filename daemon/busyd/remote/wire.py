"""One HTTP exchange: a request out, a bounded response in, errors classified. No redirects, credentials or retries."""

import functools
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from msgspec import Struct
from yarl import URL

from busyd import __version__
from busyd.connection import Connection
from busyd.dav.errors import MalformedResponse
from busyd.errors import RemoteError
from busyd.remote.allowlist import Address
from busyd.remote.errors import AnswerTooLarge, PrivateAddress, Trouble, Unreachable, WriteOutcomeUnknown
from busyd.remote.inflate import Inflater, TooLarge, Undecodable

logger = logging.getLogger(__name__)

USER_AGENT: Final = f"busyd/{__version__}"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PROPFIND", "REPORT"})
"""Methods that change nothing, so repeating them is harmless."""

_NO_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"})
"""How OpenSSL calls an answer that is no TLS."""
_AUTOMATIC: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")
MayConnect = Callable[[str], bool]
"""Whether an IP address that a name was resolved to may be connected to."""
_MIB: Final = 1024 * 1024


class TransferLimits(Struct, frozen=True):
    """TransferLimits on the duration and size of an exchange, in seconds and bytes."""

    connect: float = 10.0
    idle: float = 60.0
    """Silence during an exchange: before the first byte, and between two."""
    total: float = 600.0
    """For an exchange as a whole, while bytes flow."""
    wire_bytes: int = 32 * _MIB
    inflated_bytes: int = 64 * _MIB
    ratio: int = 200
    hops: int = 4
    """Redirects followed for one request."""
    parallel: int = 2
    """Concurrent requests for one account."""
    keepalive: float = 10.0
    """Idle connections are closed after this: Apple's servers silently close theirs after 15 seconds."""


SUBSCRIPTION_LIMITS: Final = TransferLimits(idle=30.0, total=60.0)
"""For a feed that an account subscribes to: its host may not hold up the account for long."""


def limits_of(connection: Connection) -> TransferLimits:
    """The limits of a connection, with the timeout that it is given."""
    seconds, usual = connection.timeout.total_seconds(), TransferLimits()
    return TransferLimits(idle=seconds, connect=min(seconds, usual.connect), total=max(seconds, usual.total))


class Answer(Struct, frozen=True):
    """The response of one exchange."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)


class _Lost(Exception):
    """The connection broke before a response began; raised where aiohttp would send the request a second time."""


class _RefusedAddress(OSError):
    """The resolved address may not be connected to. All have the same text, so that aiohttp reports several as one."""


def open_session(
    limits: TransferLimits,
    *,
    may_connect: MayConnect | None,
    ssl_context: Any = True,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:
    """A session without redirects, cookies, decompression and retries.

    With `may_connect`, each address is checked when its socket is created, so neither a second DNS answer nor a numeric
    address bypasses the check.
    """
    connector = aiohttp.TCPConnector(
        limit=limits.parallel,
        keepalive_timeout=limits.keepalive,
        socket_factory=functools.partial(_checked_socket, may_connect) if may_connect is not None else None,
        ssl=ssl_context,
        resolver=resolver,
    )
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=limits.total, sock_connect=limits.connect, sock_read=limits.idle),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        requote_redirect_url=False,
        skip_auto_headers=_AUTOMATIC,
    )


async def exchange(
    session: aiohttp.ClientSession,
    method: str,
    *,
    address: Address,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    limits: TransferLimits,
    digest: aiohttp.DigestAuthMiddleware | None = None,
) -> Answer:
    """Send one request and read its whole response. With `digest`, a challenge is answered within the exchange.

    Raises Unreachable, AnswerTooLarge, PrivateAddress, MalformedResponse for an undecodable body, and
    WriteOutcomeUnknown instead of any of them when an unsafe method may have been carried out.
    """
    host = address.origin.host
    middlewares = (digest, _send_once) if digest is not None else (_send_once,)
    fault: RemoteError
    try:
        # encoded=True: the path goes out byte for byte as it was checked.
        async with session.request(
            method,
            URL(str(address), encoded=True),
            headers=list(headers),
            data=body or None,
            allow_redirects=False,
            middlewares=middlewares,
        ) as response:
            try:
                content = await _read_body(response, host, limits=limits)
            except BaseException:
                response.close()
                raise
            answer = Answer(response.status, _headers_of(response), content)
            logger.debug("%s %s -> %d, %d bytes", method, host, answer.status, len(content))
            return answer
    except RemoteError as error:
        fault = error
    except (aiohttp.ClientError, OSError, _Lost, ValueError) as error:
        fault = _fault_of(error, host)
    # Raised out here, the error has no aiohttp exception as its context, which would hold the Authorization header.
    if method not in SAFE_METHODS and (not isinstance(fault, Unreachable) or fault.sent):
        fault = WriteOutcomeUnknown(host, method)
    raise fault


async def post_unread(
    session: aiohttp.ClientSession, *, address: Address, headers: Iterable[tuple[str, str]], body: bytes
) -> Answer:
    """POST once, and return when status and headers are there; a body is not waited for, however long it would be.

    Raises Unreachable, PrivateAddress.
    """
    host = address.origin.host
    fault: RemoteError
    try:
        async with session.post(
            URL(str(address), encoded=True),
            headers=list(headers),
            data=body,
            allow_redirects=False,
            middlewares=(_send_once,),
        ) as response:
            response.close()
            return Answer(response.status, _headers_of(response), b"")
    except (aiohttp.ClientError, OSError, _Lost, ValueError) as error:
        fault = _fault_of(error, host)
    raise fault


def _headers_of(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    return tuple((key.decode("latin-1"), value.decode("utf-8", "replace")) for key, value in response.raw_headers)


async def _read_body(response: aiohttp.ClientResponse, host: str, *, limits: TransferLimits) -> bytes:
    if response.content_length is not None and response.content_length > limits.wire_bytes:
        raise AnswerTooLarge(host, limits.wire_bytes)
    taken = 0
    try:
        inflater = Inflater(
            ",".join(response.headers.getall("Content-Encoding", [])), most=limits.inflated_bytes, ratio=limits.ratio
        )
        async for chunk in response.content.iter_any():
            taken += len(chunk)
            if taken > limits.wire_bytes:
                raise AnswerTooLarge(host, limits.wire_bytes)
            inflater.feed(chunk)
        return inflater.finish()
    except TooLarge:
        raise AnswerTooLarge(host, limits.inflated_bytes) from None
    except Undecodable as error:
        raise MalformedResponse(host, str(error), status=response.status) from None


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from repeating a PUT or DELETE by itself when the connection breaks."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise  # never sent
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        raise _Lost from None


def _fault_of(error: Exception, host: str) -> RemoteError:
    """Our error for one of aiohttp's; the order matters, since aiohttp's errors inherit from each other."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(host, Trouble.DNS, sent=False)
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ClientConnectorCertificateError):
        if getattr(getattr(error, "os_error", None), "reason", "") in _NO_TLS:
            return Unreachable(host, Trouble.NO_TLS, sent=False)
        return Unreachable(host, Trouble.TLS, sent=False, detail=_tls_detail(error))
    if isinstance(error, aiohttp.ClientConnectorError):
        if isinstance(error.os_error, _RefusedAddress):
            return PrivateAddress(host)
        refused = isinstance(error.os_error, ConnectionRefusedError)
        return Unreachable(host, Trouble.REFUSED if refused else Trouble.NETWORK, sent=False)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return Unreachable(host, Trouble.TIMEOUT, sent=False)
    if isinstance(error, TimeoutError):
        return Unreachable(host, Trouble.TIMEOUT)
    if isinstance(error, _Lost | aiohttp.ClientPayloadError | aiohttp.ClientConnectionError | OSError):
        return Unreachable(host, Trouble.RESET)
    return Unreachable(host, Trouble.PROTOCOL)


def _tls_detail(error: Exception) -> str:
    """What is wrong with a certificate, in OpenSSL's words, such as `certificate has expired`."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", None)
    return str(getattr(cause, "verify_message", "") or "")


def _checked_socket(may_connect: MayConnect, address: Any) -> socket.socket:
    family, kind, protocol, _, sockaddr = address
    if not may_connect(str(sockaddr[0])):
        raise _RefusedAddress("not an address to connect to")
    return socket.socket(family=family, type=kind, proto=protocol)
