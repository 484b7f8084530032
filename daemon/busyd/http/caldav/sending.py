"""Multistatus answers on their way: a short one as a whole, a long one piece by piece, never held as a whole.

A client that reads slowly slows the reading of the mirror down; one that does not read at all is dropped by the Gate.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Final

from busyd.cooperative import SLICE_SECONDS, let_others_run
from busyd.dav.multistatus import MemberResponse, multistatus_head, multistatus_tail, response_bytes
from busyd.errors import BusydError
from busyd.http import web
from busyd.http.call import Call

logger = logging.getLogger(__name__)

_AT_ONCE: Final = 64 * 1024


async def send_multistatus(
    call: Call, responses: AsyncIterator[MemberResponse], *, headers: Mapping[str, str], sync_token: str | None = None
) -> web.StreamResponse:
    """207. What goes wrong before the first piece is sent is raised; later, the connection is cut."""
    loop = asyncio.get_running_loop()
    pieces, size, sent = [multistatus_head()], 0, None
    until = loop.time() + SLICE_SECONDS
    try:
        async for response in responses:
            pieces.append(response_bytes(response))
            size += len(pieces[-1])
            if size > _AT_ONCE:
                if sent is None:
                    sent = web.StreamResponse(status=207, headers=headers)
                    await sent.prepare(call.request)
                await sent.write(b"".join(pieces))
                pieces, size = [], 0
            if loop.time() >= until:
                await let_others_run()
                until = loop.time() + SLICE_SECONDS
    except BusydError as error:
        if sent is None:
            raise
        logger.warning("an answer of the CalDAV server was cut off: %s", error)
        transport = call.request.transport
        if transport is not None:
            transport.abort()
        raise ConnectionError("an answer has already begun") from error
    pieces.append(multistatus_tail(sync_token))
    body = b"".join(pieces)
    if sent is None:
        return web.Response(status=207, body=body, headers=headers)
    await sent.write(body)
    return sent


async def one(response: MemberResponse) -> AsyncIterator[MemberResponse]:
    """A single response."""
    yield response
