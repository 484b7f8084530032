"""`GET /metrics`: what Prometheus reads (text format 0.0.4). Counting costs a request two additions.

A writer of our own: prometheus-client takes a lock and two lookups for every count and a fifth of a start to import,
for a format of two lines a number.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from aiohttp import web

import busyd
from busyd.flow.backend import Backend
from busyd.http.auth import Caller
from busyd.http.call import Call
from busyd.http.connections import Gate
from busyd.http.response import Finished, headers_for

TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counts of what was answered, by route and status."""

    def __init__(self, backend: Backend, gate: Gate) -> None:
        self._backend = backend
        self._gate = gate
        self._answers: dict[tuple[str, int], list[float]] = {}
        """(route, status) -> how many answers, and the seconds they took."""

    def count(self, route: str, *, status: int, seconds: float) -> None:
        """One answer more."""
        cell = self._answers.get((route, status))
        if cell is None:
            cell = self._answers[route, status] = [0, 0.0]
        cell[0] += 1
        cell[1] += seconds

    async def get_metrics(self, call: Call) -> web.StreamResponse:
        text = "".join(self._lines(call.caller))
        return await Finished(text.encode(), headers_for(TEXT)).response(call.head)

    def _lines(self, caller: Caller) -> Iterator[str]:
        yield from _family("busyd_build_info", "gauge", "The version that runs.", [(_labels(version=_version()), 1)])
        cells = [
            (_labels(route=route, status=str(status)), count, took)
            for (route, status), (count, took) in self._answers.items()
        ]
        answers = [(labels, count) for labels, count, _ in cells]
        yield from _family("busyd_http_requests_total", "counter", "Answers given.", answers)
        spent = [(labels, seconds) for labels, _, seconds in cells]
        yield from _family("busyd_http_request_seconds_total", "counter", "Time spent on answers.", spent)
        gate = self._gate
        yield from _family("busyd_http_connections", "gauge", "Open connections.", [((), len(gate.open))])
        yield from _family(
            "busyd_http_connections_refused_total", "counter", "Connections without a place.", [((), gate.refused)]
        )
        yield from _family(
            "busyd_http_connections_dropped_total", "counter", "Connections closed as idle.", [((), gate.dropped)]
        )
        yield from _family("busyd_http_faults_total", "counter", "Answers with 500.", [((), gate.crashes.total)])
        yield from self._profiles(caller)
        yield from self._connections(caller)

    def _profiles(self, caller: Caller) -> Iterator[str]:
        now = self._backend.clock.now()
        views = sorted((view.name, view) for view in self._backend.profiles() if caller.sees(view.name))
        ages = [
            (_labels(profile=name), now - view.freshness.as_of)
            for name, view in views
            if view.freshness.as_of is not None
        ]
        yield from _family("busyd_profile_age_seconds", "gauge", "Age of the oldest proof.", ages)
        stale = [(_labels(profile=name), int(view.freshness.stale)) for name, view in views]
        yield from _family("busyd_profile_stale", "gauge", "1 when that is older than max_age.", stale)
        known = [(_labels(profile=name), int(view.freshness.known)) for name, view in views]
        yield from _family("busyd_profile_known", "gauge", "1 when every calendar was read.", known)

    def _connections(self, caller: Caller) -> Iterator[str]:
        views = sorted((view.name, view) for view in self._backend.connections()) if caller.sees_all else []
        up = [(_labels(connection=name), int(not view.trouble)) for name, view in views]
        yield from _family("busyd_connection_up", "gauge", "1 when the last poll went well.", up)
        requests = [(_labels(connection=name), view.requests) for name, view in views]
        yield from _family("busyd_connection_requests_total", "counter", "Requests to the remote.", requests)
        polled = [(_labels(connection=name), view.last_poll) for name, view in views if view.last_poll is not None]
        yield from _family("busyd_connection_last_poll_seconds", "gauge", "When a poll last went well.", polled)
        if caller.sees_all:
            count = len(self._backend.problems())
            yield from _family("busyd_problems", "gauge", "Events that were not understood.", [((), count)])


def _version() -> str:
    return busyd.__version__


def _labels(**labels: str) -> Labels:
    return tuple(labels.items())


def _family(name: str, kind: str, meaning: str, samples: Iterable[tuple[Labels, float]]) -> Iterator[str]:
    rows = list(samples)
    if not rows:
        return
    yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
    for labels, value in rows:
        inside = ",".join(f'{label}="{_escape(text)}"' for label, text in labels)
        shown = repr(round(value, 6))
        yield f"{name}{{{inside}}} {shown}\n" if inside else f"{name} {shown}\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
