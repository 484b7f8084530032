"""`POST /v1/sync`: poll every connection now, and report line by line how it goes."""

import asyncio
import logging
from typing import Final

from msgspec import UNSET

from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.bodies import SyncFinished, SyncProgress
from busyd.http.call import Call
from busyd.http.request_body import read_nothing
from busyd.http.response import headers_for, to_json
from busyd.http.status import visible_connections
from busyd.progress import Progress

logger = logging.getLogger(__name__)

LINES: Final = "application/x-ndjson"
_REFUSED: Final = ("auth.refused", "auth.apple.")
"""How the codes of a refused login begin, and of one that was not tried because Apple refuses it."""


class SyncHandler:
    """Starts polls, and reports how they go."""

    def __init__(self, backend: Backend, *, body_seconds: float) -> None:
        self._backend = backend
        self._body_seconds = body_seconds
        self._running: set[asyncio.Future[list[str]]] = set()

    async def post_sync(self, call: Call) -> web.StreamResponse:
        """JSON lines of progress, the last one `{"finished": true, "failed": [...]}`.

        When the client disconnects the polls go on: they are the daemon's own, only earlier.
        """
        await read_nothing(call, self._body_seconds)
        visible = {view.name for view in await visible_connections(self._backend, call.caller)}
        queue: asyncio.Queue[Progress | None] = asyncio.Queue()
        work = asyncio.ensure_future(self._backend.sync_now(queue.put_nowait))
        self._running.add(work)
        work.add_done_callback(self._running.discard)
        work.add_done_callback(lambda _: queue.put_nowait(None))
        response = web.StreamResponse(headers=headers_for(LINES))
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Accel-Buffering"] = "no"  # a proxy must not collect the lines
        await response.prepare(call.request)
        while (progress := await queue.get()) is not None:
            if progress.connection in visible:
                await response.write(to_json(_progress(progress)))
        error = work.exception()
        if error is not None:
            logger.error("a sync failed unexpectedly", exc_info=error)
        failed = sorted(visible) if error is not None else [name for name in work.result() if name in visible]
        views = await visible_connections(self._backend, call.caller)
        refused = [view.name for view in views if view.name in failed and view.code.startswith(_REFUSED)]
        await response.write(to_json(SyncFinished(finished=True, failed=failed, refused=refused or UNSET)))
        await response.write_eof()
        return response


def _progress(progress: Progress) -> SyncProgress:
    return SyncProgress(
        connection=progress.connection,
        calendar=progress.calendar,
        phase=progress.phase,
        done=progress.done,
        total=progress.total,
        detail=progress.detail or UNSET,
    )
