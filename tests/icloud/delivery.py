"""From an answer to bytes on a socket: Apple's headers, compression, chunks, and every way an answer can go wrong."""

import asyncio
import gzip
import secrets
import socket
import struct
import uuid
from dataclasses import dataclass

from aiohttp import web

from tests.icloud.exchange import APPLE_SERVER, Answer
from tests.icloud.faults import Fault
from tests.icloud.places import PARTITIONS

_PIECE = 64 * 1024
_PAGE = b"<html><head><title>iCloud</title></head><body>We are sorry, something went wrong.</body></html>"
_HOSTILE = (
    b'<?xml version="1.0"?><!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;&c;"><!ENTITY f SYSTEM "file:///etc/passwd">]>'
    b'<multistatus xmlns="DAV:"><response><href>&f;</href><status>&d;</status></response></multistatus>'
)


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer travels when nothing goes wrong."""

    gzip: bool = False
    chunked: bool = False


class AppleResponse(web.StreamResponse):
    """A response without the headers aiohttp would add on its own."""

    async def _prepare_headers(self) -> None:
        given = self.headers.get("Content-Type")
        await super()._prepare_headers()
        if given is None:
            self.headers.popall("Content-Type", None)


def apple_headers(origin: str) -> list[tuple[str, str]]:
    """What every answer carries; the partition need not be the one in the host name."""
    partition = PARTITIONS.get(origin, "180")
    return [
        ("Server", APPLE_SERVER),
        ("X-Responding-Instance", f"caldavj:3:p{partition}-caldavj-{secrets.token_hex(4)}:8080:{secrets.token_hex(4)}"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains;"),
        ("x-apple-user-partition", partition),
        ("Via", f"xrail:st13p00ic-ztbu{secrets.token_hex(4)}.me.com:8301:26R5:grp60"),
        ("X-Apple-Request-UUID", str(uuid.uuid4()).upper()),
        ("Access-Control-Expose-Headers", "X-Apple-Request-UUID,Via"),
        ("X-Apple-Edge-Response-Time", str(8 + secrets.randbelow(90))),
    ]


async def deliver(
    request: web.BaseRequest,
    answer: Answer,
    *,
    fault: Fault | None,
    origin: str,
    manner: Manner,
    stopping: asyncio.Event,
) -> web.StreamResponse:
    """Send the answer, bent by the fault; `answer.status` and its body size are what the log will show."""
    kind = fault.kind if fault else ""
    if fault is not None:
        answer = _bend(answer, fault)
        if kind == "never-answers":
            await _until_gone(request, stopping)
        if kind in ("never-answers", "reset", "reset-if-reused", "reset-after-applying", "late"):
            reset(request)
            return AppleResponse()
        if kind == "delay":
            await asyncio.sleep(fault.seconds)
    body = answer.body
    if manner.gzip and body and kind != "gzip-bomb":
        body = gzip.compress(body)
        answer.headers.append(("Content-Encoding", "gzip"))
    response = AppleResponse(status=answer.status)
    if answer.content_type:
        response.headers["Content-Type"] = answer.content_type
    for name, value in [*apple_headers(origin), *answer.headers]:
        response.headers.add(name, value)
    if manner.chunked and body and request.method != "HEAD":
        response.enable_chunked_encoding()
    elif answer.status not in (204, 304):
        response.content_length = len(body)
    if answer.close:
        response.force_close()
    await response.prepare(request)
    if request.method != "HEAD":
        await _send(request, response, body=body, fault=fault)
    return response


def reset(request: web.BaseRequest) -> None:
    """End the connection with a TCP RST, as a crashed or overloaded balancer does."""
    transport = request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _bend(answer: Answer, fault: Fault) -> Answer:
    """The answer with another body, for the faults that are about bodies."""
    match fault.kind:
        case "status-after-applying":
            return fault.answer()
        case "truncated":
            answer.body = answer.body[: len(answer.body) // 2 if fault.at is None else fault.at]
        case "html":
            answer.body, answer.content_type = _PAGE, "text/html"
        case "empty-body":
            answer.status, answer.body = 200, b""
        case "garbage":
            answer.body = b"\x00\xff garbage \x00"
        case "hostile-xml":
            answer.body = _HOSTILE
        case "huge-body":
            answer.body = _padded(answer.body, fault.megabytes)
        case "gzip-bomb":
            answer.body = gzip.compress(_padded(answer.body, fault.megabytes))
            answer.headers.append(("Content-Encoding", "gzip"))
        case _:
            pass
    return answer


def _padded(body: bytes, megabytes: int) -> bytes:
    """Blank lines after the XML declaration, where they are allowed, in front of all the rest."""
    declaration, newline, rest = body.partition(b"\n")
    return declaration + newline + b"\n" * (megabytes * 1024 * 1024) + rest


async def _send(request: web.BaseRequest, response: web.StreamResponse, *, body: bytes, fault: Fault | None) -> None:
    kind = fault.kind if fault else ""
    if kind == "reset-after-headers":
        await asyncio.sleep(0.01)  # let the headers leave before the RST overtakes them
        reset(request)
        return
    if kind == "half-body":
        await response.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.close()
        return
    if fault is not None and kind == "slow-drip":
        for position in range(len(body)):
            await response.write(body[position : position + 1])
            await asyncio.sleep(fault.seconds)
    else:
        for position in range(0, len(body), _PIECE):
            await response.write(body[position : position + _PIECE])
    await response.write_eof()


async def _until_gone(request: web.BaseRequest, stopping: asyncio.Event) -> None:
    while not stopping.is_set() and request.transport is not None and not request.transport.is_closing():
        try:
            await asyncio.wait_for(stopping.wait(), timeout=0.05)
        except TimeoutError:
            continue
