"""`GET /metrics`: what Prometheus scrapes (text format 0.0.4). Counting costs a request two additions.

The counters are our own, as those of prometheus-client take a lock and two lookups for each count. It renders the text,
and is imported at the first scrape, as importing it would take a fifth of a start.
"""

import asyncio

from aiohttp import web

from busyd.flow.backend import Backend
from busyd.http.call import Call
from busyd.http.connections import Gate
from busyd.http.response import Finished, headers_for


class Metrics:
    """Counts answers, by route and status."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate
        self._answers: dict[tuple[str, int], list[float]] = {}
        """(route, status) -> how many answers, and the seconds they took."""
        self._is_imported = False

    def count(self, route: str, *, status: int, seconds: float) -> None:
        """One answer more."""
        cell = self._answers.get((route, status))
        if cell is None:
            cell = self._answers[route, status] = [0, 0.0]
        cell[0] += 1
        cell[1] += seconds

    async def get_metrics(self, call: Call) -> web.StreamResponse:
        if not self._is_imported:
            await asyncio.to_thread(_import_renderer)  # long enough to hold up every other answer
            self._is_imported = True
        from busyd.http.metrics_text import CONTENT_TYPE, render_metrics

        text = await render_metrics(self._backend, self._gate, answers=self._answers, caller=call.caller)
        return await Finished(text, headers_for(CONTENT_TYPE)).response(call.head)


def _import_renderer() -> None:
    import busyd.http.metrics_text  # noqa: F401
