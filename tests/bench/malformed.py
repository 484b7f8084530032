"""Requests that no client should send, of every sort there is. Only bytes; nobody is connected to here."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.bench.load import PATH

Malformed = Callable[[Random, str], bytes]
"""Writes one, given the Host that the server goes by."""

_LONG: Final = 9 * 1024
"""Bytes: more than a line of a head may have."""


def malformed_request(chance: Random, host: str) -> bytes:
    """One request of a sort taken by chance."""
    return chance.choice(_SORTS)(chance, host)


def _start_line(chance: Random, host: str) -> bytes:
    lines = [
        b"GET / HTTP/9.9",
        b"GET  /healthz  HTTP/1.1",
        b"GET /healthz",
        b"G=T /healthz HTTP/1.1",
        b"get healthz HTTP/1.1",
        b"GET http://evil.example/healthz HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + chance.randbytes(64),
        chance.randbytes(chance.randrange(1, 400)),
    ]
    return _head(chance.choice(lines), host)


def _chunks(chance: Random, host: str) -> bytes:
    bodies = [
        b"zz\r\nbody\r\n0\r\n\r\n",
        b"-1\r\nbody\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nbody",
        b"4;" + b"x" * _LONG + b"\r\nbody\r\n0\r\n\r\n",
        b"4\r\nbodybody\r\n0\r\n\r\n",
    ]
    return _head(b"POST /v1/sync HTTP/1.1", host, b"Transfer-Encoding: chunked") + chance.choice(bodies)


def _framing(chance: Random, host: str) -> bytes:
    fields = [
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Content-Length: 4", b"Content-Length: 5"],
        [b"Content-Length: -1"],
        [b"Content-Length: 99999999999999999999"],
        [b"Transfer-Encoding: chunked, chunked"],
        [b"Content-Encoding: gzip", b"Content-Length: 4"],
    ]
    return _head(b"POST /v1/sync HTTP/1.1", host, *chance.choice(fields)) + b"body"


def _oversize(chance: Random, host: str) -> bytes:
    long = b"x" * _LONG
    heads = [
        _head(b"GET /" + long + b" HTTP/1.1", host),
        _head(b"GET /healthz HTTP/1.1", host, b"X-Long: " + long),
        _head(b"GET /healthz HTTP/1.1", host, long + b": x"),
        _head(b"GET /healthz HTTP/1.1", host, *(b"X-%d: x" % number for number in range(500))),
        long * 7,
    ]
    return chance.choice(heads)


def _half(chance: Random, host: str) -> bytes:
    whole = _head(b"POST /v1/sync HTTP/1.1", host, b"Content-Length: 100") + b"body"
    return whole[: chance.randrange(1, len(whole))]


def _hosts(chance: Random, host: str) -> bytes:
    hosts = [b"Host: evil.example", b"Host:", b"X: x", b"Host: [::1", b"Host: %b\r\nHost: %b" % ((host.encode(),) * 2)]
    return b"GET /healthz HTTP/1.1\r\n%b\r\nConnection: close\r\n\r\n" % chance.choice(hosts)


def _tokens(chance: Random, host: str) -> bytes:
    logins = [
        b"Bearer bd_%x" % chance.getrandbits(200),
        b"Bearer",
        b"Basic YTpi",
        b"\xff\xfe",
        b"Bearer " + b"x" * 4000,
    ]
    return _head(f"GET {PATH} HTTP/1.1".encode(), host, b"Authorization: " + chance.choice(logins))


def _queries(chance: Random, host: str) -> bytes:
    queries = [
        b"start=never",
        b"start=2026-02-30",
        b"start=now&end=-1d",
        b"start=now&start=now",
        b"start=%ff",
        b"start=%00",
        b"tz=../../etc/passwd",
        b"max_age=" + b"9" * 2000 + b"d",
        b"&".join(b"p%d=1" % number for number in range(500)),
    ]
    return _head(b"GET %b?%b HTTP/1.1" % (PATH.encode(), chance.choice(queries)), host)


def _nulls(chance: Random, host: str) -> bytes:
    heads = [
        _head(b"GET /\0 HTTP/1.1", host),
        _head(b"GET /healthz HTTP/1.1", host, b"X: \0"),
        _head(b"GET /healthz HTTP/1.1", host, b"X\0: x"),
        b"\0" * 4096,
    ]
    return chance.choice(heads)


def _pipelined(chance: Random, host: str) -> bytes:
    one = f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    return one * chance.randrange(2, 20) + _start_line(chance, host)


def _head(start_line: bytes, host: str, *fields: bytes) -> bytes:
    return b"\r\n".join([start_line, f"Host: {host}".encode(), b"Connection: close", *fields, b"", b""])


_SORTS: Final[Sequence[Malformed]] = (
    _start_line,
    _chunks,
    _framing,
    _oversize,
    _half,
    _hosts,
    _tokens,
    _queries,
    _nulls,
    _pipelined,
)
