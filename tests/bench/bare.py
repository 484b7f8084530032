"""The limit: an aiohttp handler that returns the same bytes whatever is asked. `python -m tests.bench.bare PORT FILE`.

Add `uvloop` for the faster loop. No access log, no middleware, one route: what aiohttp costs by itself.
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web


def make_app(body: bytes) -> web.Application:
    """One route, fixed bytes."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/v1/profiles/anna/freebusy", answer)
    return app


async def serve(port: int, body: bytes) -> None:
    """Until killed."""
    runner = web.AppRunner(make_app(body), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


def main() -> None:
    port, body = int(sys.argv[1]), Path(sys.argv[2]).read_bytes()
    if sys.argv[3:] == ["uvloop"]:
        import uvloop

        uvloop.run(serve(port, body))
    else:
        asyncio.run(serve(port, body))


if __name__ == "__main__":
    main()
