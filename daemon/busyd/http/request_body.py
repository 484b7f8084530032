"""Reading the body of a request: not too large, not too slow."""

import asyncio
from typing import Final

import msgspec

from busyd.http import web
from busyd.http.call import Call
from busyd.http.problem import HttpProblem, bad_request
from busyd.http.request_headers import Fault
from busyd.remote.inflate import Inflater, TooLarge, Undecodable

_LONGEST: Final = 1024 * 1024
"""Bytes; of a body that is not compressed, aiohttp's own bound."""
_MOST_INFLATED: Final = 200
"""How many times as long as it came a body may become, beyond the first megabyte."""


async def read_any_body(call: Call, seconds: float) -> bytes:
    """The body, whatever is in it; without its compression. Raises BodyTooLarge, HttpProblem when it is too slow."""
    if call.head.fault == Fault.TOO_LARGE:
        raise BodyTooLarge
    if call.head.expects_continue:
        # RFC 9110 §10.1.1; aiohttp does this for applications, but not for a plain server.
        # The answer itself is yet to come.
        await call.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        call.request.writer.output_size = 0
    try:
        async with asyncio.timeout(seconds):
            body = await call.request.read()
    except web.HTTPRequestEntityTooLarge:
        raise BodyTooLarge from None
    except TimeoutError:
        raise HttpProblem(
            "too-slow",
            408,
            detail="the body did not arrive in time",
            fix="send the request again, with the body right after the header",
            headers={"Connection": "close"},
        ) from None
    return _inflated(call, body) if call.head.coding else body


def _inflated(call: Call, body: bytes) -> bytes:
    try:
        inflater = Inflater(call.head.coding, most=_LONGEST, ratio=_MOST_INFLATED)
        inflater.feed(body)
        return inflater.finish()
    except TooLarge:
        raise BodyTooLarge from None
    except Undecodable:
        raise compressed_body() from None


def compressed_body() -> HttpProblem:
    """415: of a body that is compressed, or not as it says."""
    return HttpProblem(
        "wrong-media-type",
        415,
        detail="the compression of the body is not accepted here, or it is damaged",
        fix="send the body uncompressed",
        headers={"Accept-Encoding": "identity"},
    )


class BodyTooLarge(HttpProblem):
    """413."""

    def __init__(self) -> None:
        headers = {"Connection": "close"}
        super().__init__("too-large", 413, detail="the body is too large", fix="send a shorter body", headers=headers)


async def read_body(call: Call, seconds: float) -> bytes:
    """The body: JSON, or empty. Raises HttpProblem when it is of another type, too large or too slow."""
    body = await read_any_body(call, seconds)
    if body and call.head.content_type != "application/json":
        raise HttpProblem(
            "wrong-media-type", 415, detail="the body is not JSON", fix="send it with `Content-Type: application/json`"
        )
    return body


async def read_nothing(call: Call, seconds: float) -> None:
    """Read the body of a request that takes no parameters yet. Anything but a JSON object must be meant for another
    request. Raises HttpProblem.
    """
    body = await read_body(call, seconds)
    if not body:
        return
    try:
        msgspec.json.decode(body, type=dict)
    except (msgspec.DecodeError, RecursionError):
        raise bad_request("the body is not a JSON object", fix="send {}, or no body at all") from None
