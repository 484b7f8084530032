"""Reading the body of a request: not too large, not too slow."""

import asyncio

import msgspec

from busyd.http.call import Call
from busyd.http.problem import HttpProblem, bad_request


async def read_any_body(call: Call, seconds: float) -> bytes:
    """The body, whatever is in it. Raises HttpProblem when it is too large or too slow."""
    if call.head.expects_continue:
        # RFC 9110 §10.1.1; aiohttp does this for applications, but not for a plain server.
        # The answer itself is yet to come.
        await call.request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        call.request.writer.output_size = 0
    try:
        async with asyncio.timeout(seconds):
            return await call.request.read()
    except TimeoutError:
        raise HttpProblem(
            "too-slow",
            408,
            detail="the body did not arrive in time",
            fix="send the request again, with the body right after the header",
            headers={"Connection": "close"},
        ) from None


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
