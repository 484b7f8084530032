"""`GET /metrics`: what Prometheus scrapes (text format 0.0.4). Counting costs a request three additions.

The counters are our own, as those of prometheus-client take a lock and two lookups for each count. It renders the text,
and is imported at the first scrape, as importing it would take a fifth of a start.
"""

import asyncio

from busyd.durations import FAST, Durations
from busyd.flow.backend import Backend
from busyd.http import web
from busyd.http.call import Call
from busyd.http.connections import Gate
from busyd.http.response import Finished, headers_for


class Metrics:
    """Counts answers, by route and status."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate
        self._answers: dict[tuple[str, int], int] = {}
        """(route, status) -> how many answers."""
        self._durations: dict[str, Durations] = {}
        """Route -> how long its answers took."""
        self._is_imported = False

    def count(self, route: str, *, status: int, seconds: float) -> None:
        """One answer more."""
        self._answers[route, status] = self._answers.get((route, status), 0) + 1
        durations = self._durations.get(route)
        if durations is None:
            durations = self._durations[route] = Durations(FAST)
        durations.count(seconds)

    async def get_metrics(self, call: Call) -> web.StreamResponse:
        if not self._is_imported:
            await asyncio.to_thread(_import_renderer)  # long enough to hold up every other answer
            self._is_imported = True
        from busyd.http.metrics_text import CONTENT_TYPE, Counted, render_metrics

        counted = Counted(self._answers, self._durations)
        text = await render_metrics(self._backend, self._gate, counted=counted, caller=call.caller)
        return await Finished(text, headers_for(CONTENT_TYPE)).response(call.head)


def _import_renderer() -> None:
    import busyd.http.metrics_text  # noqa: F401
