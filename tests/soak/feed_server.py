"""`python -m tests.soak.feed_server PORT MEGABYTES`: one large feed, in which each download finds one event changed."""

import asyncio
import sys

from aiohttp import web

from tests.generate import generate_objects

_HEAD = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//feed//EN\r\n"
_TAIL = b"END:VCALENDAR\r\n"
_BEGIN, _END = b"BEGIN:VEVENT\r\n", b"END:VEVENT\r\n"


def events(megabytes: int) -> list[bytes]:
    """The events of generated objects, as many as that takes; each object's are one piece."""
    found: list[bytes] = []
    size, seed = 0, 1
    while size < megabytes * 1_000_000:
        for payload in generate_objects(2000, seed):
            piece = payload[payload.index(_BEGIN) : payload.rindex(_END) + len(_END)]
            found.append(piece)
            size += len(piece)
        seed += 1
    return found


async def serve(port: int, pieces: list[bytes]) -> None:
    """Until killed."""
    downloads = 0

    async def answer(_: web.BaseRequest) -> web.Response:
        nonlocal downloads
        downloads += 1
        number = downloads % len(pieces)
        pieces[number] = pieces[number].replace(_END, b"X-CHANGED:%d\r\n" % downloads + _END)
        body = b"".join((_HEAD, *pieces, _TAIL))
        return web.Response(body=body, content_type="text/calendar", headers={"ETag": f'"{downloads}"'})

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), events(int(sys.argv[2]))))
