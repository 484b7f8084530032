"""Finished answers: bytes with their headers, ETag and compressed form. No calendars, no decisions."""

import re
import zlib
from collections.abc import Generator, Mapping
from email.utils import formatdate
from typing import Final

import msgspec
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import HttpVersion11
from msgspec import UNSET, Struct
from msgspec.structs import fields
from multidict import CIMultiDict

from busyd.cooperative import in_slices
from busyd.http import web
from busyd.http.request_headers import RequestHeaders
from busyd.period import read_http_date

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Server": "busyd",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer, refusals included."""

JSON: Final = "application/json"
_COMPRESS_AT_ONCE: Final = 32 * 1024
"""Bytes that zlib compresses in about half a millisecond."""


class SerializedResponse(web.StreamResponse):
    """An answer that is complete as bytes. aiohttp asks a response to prepare itself and to write: this one has no
    header fields to assemble, which is a third of the cost. Only for HTTP/1.1 on a connection that stays open.
    """

    def __init__(self, wire: bytes, *, status: int = 200) -> None:
        super().__init__(status=status)
        self._wire = wire
        self._writer: AbstractStreamWriter | None = None

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._writer = request.writer
        return self._writer

    async def write_eof(self, data: bytes = b"") -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            await writer.write(self._wire + data)
            await writer.drain()  # or a client that asks and never reads fills the memory


class Finished(Struct):
    """An answer that can be sent again and again, as 304 or compressed as the client wishes."""

    body: bytes
    headers: CIMultiDict[str]
    """Of a 200 without compression, with `Last-Modified` where the answer has it. Shared, so never changed."""
    etag: str = ""
    fields: bytes = b""
    """`headers` as they go over the wire, where the answer may be given as a `SerializedResponse`."""
    zipped: bytes | None = None
    """`body` compressed; for a client that takes it so, the body itself may be left out."""

    def serialized(self, request: web.BaseRequest, head: RequestHeaders, *, date: bytes) -> SerializedResponse | None:
        """The whole answer as bytes, for a client that wants it whole and stays connected."""
        if head.conditional or head.gzip or head.origin or request.version != HttpVersion11 or not request.keep_alive:
            return None
        body = self.body
        tail = f"ETag: {self.etag}\r\nContent-Length: {len(body)}\r\nDate: ".encode()
        return SerializedResponse(b"".join((b"HTTP/1.1 200 OK\r\n", self.fields, tail, date, b"\r\n\r\n", body)))

    async def response(self, head: RequestHeaders) -> web.Response:
        """What this client gets: a 304 when it already has the answer, compressed when it asked for that."""
        etag = self.etag
        if self.is_known(head):
            response = web.Response(status=304, headers=self.headers)
            response.headers.popall("Content-Type", None)
        elif head.gzip and (self.body or self.zipped):
            if self.zipped is None:
                self.zipped = await compress(self.body)
            response = web.Response(body=self.zipped, headers=self.headers)
            response.headers["Content-Encoding"] = "gzip"
            if etag and not etag.startswith("W/"):
                etag = f'{etag[:-1]}-gzip"'  # RFC 9110 §8.8.3.3: other bytes, other strong tag
        else:
            response = web.Response(body=self.body, headers=self.headers)
        if etag:
            response.headers["ETag"] = etag
        return response

    def is_known(self, head: RequestHeaders) -> bool:
        """Whether the client has this answer already, as it says."""
        if not head.conditional:
            return False
        if head.if_none_match:
            # RFC 9110 §13.1.3: with If-None-Match, If-Modified-Since does not count.
            return bool(self.etag) and matches(head.if_none_match, self.etag)
        modified, since = self.headers.get("Last-Modified"), read_http_date(head.if_modified_since)
        return modified is not None and since is not None and (read_http_date(modified) or 0) <= since


def matches(if_none_match: str, etag: str) -> bool:
    """RFC 9110 §13.1.2 with the weak comparison; a tag that we marked as compressed stands for the same answer."""
    if if_none_match == etag or if_none_match.strip() == "*":
        return True
    wanted = _opaque(etag)
    return any(_opaque(tag.strip()) == wanted for tag in if_none_match.split(","))


def _opaque(etag: str) -> str:
    """Without what marks it as weak, and what a compressing proxy, or we ourselves, add to it (RFC 9110 §8.8.3.3)."""
    return _COMPRESSED.sub("", etag.removeprefix("W/").strip('"'))


_COMPRESSED: Final = re.compile(r"[-;](?:gzip|br|zstd|deflate)$")


async def compress(body: bytes) -> bytes:
    """gzip without a time stamp, so that the same body has the same bytes. Lets others run."""
    return await in_slices(_compress(body))


def _compress(body: bytes) -> Generator[None, None, bytes]:
    compressor = zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    pieces = []
    for at in range(0, len(body), _COMPRESS_AT_ONCE):
        pieces.append(compressor.compress(body[at : at + _COMPRESS_AT_ONCE]))
        yield
    pieces.append(compressor.flush())
    return b"".join(pieces)


def as_fields(headers: CIMultiDict[str]) -> bytes:
    """Header fields as they go over the wire."""
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")


class Date:
    """The Date field (RFC 9110 §6.6.1), written once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._text = b""

    def at(self, now: int) -> bytes:
        if now != self._second:
            self._second, self._text = now, formatdate(now, usegmt=True).encode()
        return self._text


def headers_for(content_type: str, **further: str) -> CIMultiDict[str]:
    """The headers of an answer; `_` in a keyword becomes `-`."""
    headers = CIMultiDict(SECURITY_HEADERS)
    headers["Content-Type"] = content_type
    headers["Cache-Control"] = "private, no-cache"
    headers["Vary"] = "Accept, Accept-Encoding, Authorization, Cookie"
    for name, value in further.items():
        headers[name.replace("_", "-")] = value
    return headers


def to_json(value: object) -> bytes:
    """As it goes out: with an end of line, so that a terminal is left at the beginning of one."""
    return msgspec.json.encode(value) + b"\n"


async def json_response(value: Struct, head: RequestHeaders) -> web.Response:
    """A value as JSON, compressed when that was asked for."""
    return await Finished(to_json(value), headers_for(JSON)).response(head)


async def long_json_response(value: Struct, head: RequestHeaders) -> web.Response:
    """The same of a value with long lists, while others run. It empties them."""
    return await Finished(await in_slices(_write_json(value)), headers_for(JSON)).response(head)


def _write_json(value: Struct) -> Generator[None, None, bytes]:
    """What `to_json` writes, the items of lists one at a time."""
    written = []
    for field in fields(value):
        item = getattr(value, field.name)
        if isinstance(item, list):
            texts = []
            item.reverse()
            while item:  # each is let go of at once: a hundred thousand objects would be the longest step
                texts.append(msgspec.json.encode(item.pop()))
                yield
            text = b"[" + b",".join(texts) + b"]"
        elif item is UNSET:
            continue
        else:
            text = msgspec.json.encode(item)
        written.append(f'"{field.encode_name}":'.encode() + text)
        yield
    return b"{" + b",".join(written) + b"}\n"
