"""The metrics as text. Imported at the first scrape: prometheus-client is slow to import."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

import busyd
from busyd.cooperative import apply, in_slices
from busyd.durations import Durations
from busyd.flow.backend import Backend
from busyd.flow.reload import ReloadRequests
from busyd.flow.views import ConnectionView, ProfileView
from busyd.flow.webhook_views import WebhookState
from busyd.http.auth import Caller
from busyd.http.connections import Gate
from busyd.ical.facts import HARMLESS
from busyd.period import Instant

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

_Samples = Iterable[tuple[Sequence[str], float]]
"""Values of the labels, and the value of the metric."""


class Counted(Struct, frozen=True):
    """What was counted of answers."""

    answers: Mapping[tuple[str, int], int]
    """(route, status) -> how many."""
    durations: Mapping[str, Durations]
    """Route -> how long they took."""


async def render_metrics(backend: Backend, gate: Gate, *, counted: Counted, caller: Caller) -> bytes:
    """Everything that the caller may see, in text format 0.0.4. Metrics without a sample are left out."""
    profiles = [view for view in await backend.profiles() if caller.sees(view.name)]
    families = [*_http(gate, counted), *_profiles(profiles, now=backend.clock.now())]
    families.append(_appointments(backend, sorted(view.name for view in profiles)))
    if caller.sees_all:
        problems = [one for one in backend.problems() if one.kind not in HARMLESS and one.accepted is None]
        families += _remotes(await backend.connections(), problems=len(problems))
        families += _sharing(backend)
        failures = [([reason], number) for reason, number in backend.storage.failures.items()]
        text = "Times that something could not be stored, or what is stored not be read."
        families.append(_counter("busyd_storage_failures", text, labels=["reason"], samples=failures))
        families += [*_webhooks(backend), *_reloads(backend.reloads), *ProcessCollector(registry=None).collect()]
    parts = await in_slices(apply(lambda family: generate_latest(_Families([family])), families))
    return b"".join(parts)


class _Families(Collector):
    """Metrics that were collected already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = [family for family in families if family.samples]

    def collect(self) -> Iterable[Metric]:
        return self._families


def _http(gate: Gate, counted: Counted) -> Iterator[Metric]:
    yield _gauge("busyd_build_info", "The version that runs.", labels=["version"], samples=[([busyd.__version__], 1)])
    labels = ["route", "status"]
    counts = [([route, str(status)], number) for (route, status), number in counted.answers.items()]
    yield _counter("busyd_http_requests", "Answers given.", labels=labels, samples=counts)
    took = "How long answers took; a stream of events counts as 0."
    yield _histogram("busyd_http_request_duration_seconds", took, label="route", durations=counted.durations)
    yield _gauge("busyd_http_connections", "Open connections.", labels=[], samples=[([], len(gate.open))])
    streams = "Open streams of events."
    yield _gauge("busyd_http_streams", streams, labels=[], samples=[([], len(gate.streams))])
    refused = "Connections refused because there were too many."
    yield _counter("busyd_http_connections_refused", refused, labels=[], samples=[([], gate.refused)])
    dropped = "Connections closed because they were idle."
    yield _counter("busyd_http_connections_dropped", dropped, labels=[], samples=[([], gate.dropped)])
    yield _counter("busyd_http_faults", "Answers with status 500.", labels=[], samples=[([], gate.crashes.total)])


def _profiles(profiles: Iterable[ProfileView], *, now: Instant) -> Iterator[Metric]:
    labels, views = ["profile"], sorted(profiles, key=lambda view: view.name)
    ages = [([view.name], now - view.freshness.as_of) for view in views if view.freshness.as_of is not None]
    yield _gauge(
        "busyd_profile_age_seconds", "Time since the calendar confirmed longest ago.", labels=labels, samples=ages
    )
    stale = [([view.name], view.freshness.stale) for view in views]
    yield _gauge(
        "busyd_profile_stale", "1 when a calendar was not confirmed within max_age.", labels=labels, samples=stale
    )
    known = [([view.name], view.freshness.known) for view in views]
    yield _gauge("busyd_profile_known", "1 when every calendar has been read.", labels=labels, samples=known)


def _appointments(backend: Backend, profiles: Iterable[str]) -> Metric:
    counts = [
        ([name, state], number) for name in profiles for state, number in sorted(backend.unsettled.count(name).items())
    ]
    text = "Appointments that keep their time, those that are over included."
    return _gauge("busyd_appointments", text, labels=["profile", "state"], samples=counts)


def _remotes(connections: Iterable[ConnectionView], *, problems: int) -> Iterator[Metric]:
    labels, views = ["connection"], sorted(connections, key=lambda view: view.name)
    up = [([view.name], not view.trouble) for view in views]
    yield _gauge("busyd_connection_up", "1 when the last poll succeeded.", labels=labels, samples=up)
    requests = [([view.name], view.requests) for view in views]
    yield _counter("busyd_connection_requests", "Requests sent to the remote.", labels=labels, samples=requests)
    polled = [([view.name], view.last_poll) for view in views if view.last_poll is not None]
    yield _gauge("busyd_connection_last_poll_seconds", "When a poll last succeeded.", labels=labels, samples=polled)
    polls = {view.name: view.polls for view in views}
    yield _histogram("busyd_poll_duration_seconds", "How long polls took.", label="connection", durations=polls)
    yield _gauge("busyd_problems", "Events that were not understood.", labels=[], samples=[([], problems)])


def _sharing(backend: Backend) -> Iterator[Metric]:
    """Of the daemons on one database; without labels, as each daemon is asked for itself."""
    if (view := backend.sharing) is None:
        return
    lives = [one for one in view.daemons if one.until > backend.clock.now()]
    yield _gauge("busyd_daemons", "Daemons that share the database.", labels=[], samples=[([], len(lives))])
    own: _Samples = [([], one.connections) for one in view.daemons if one.is_this]
    yield _gauge("busyd_connections_owned", "Connections that this daemon polls.", labels=[], samples=own)
    followed = view.followed_at
    behind: _Samples = [] if followed is None else [([], backend.clock.monotonic() - followed)]
    text = "Time since all that other daemons had written was in memory."
    yield _gauge("busyd_follow_age_seconds", text, labels=[], samples=behind)
    text = "How long the oldest transaction that writes the database had run."
    yield _gauge("busyd_database_oldest_write_seconds", text, labels=[], samples=[([], view.oldest_write)])
    text = "How far this machine's clock is ahead of the database's, by which everything is dated."
    yield _gauge("busyd_clock_ahead_seconds", text, labels=[], samples=[([], view.clock_ahead)])


def _webhooks(backend: Backend) -> Iterator[Metric]:
    if backend.webhooks is None:
        return
    states = Counter(view.state.value for view in backend.webhooks.views())
    counts = [([state.value], states[state.value]) for state in WebhookState] if states else []
    yield _gauge("busyd_webhooks", "Webhooks, by how they are doing.", labels=["state"], samples=counts)
    outcomes = [([outcome], number) for outcome, number in backend.webhooks.outcomes.items()] if states else []
    yield _counter("busyd_webhook_deliveries", "Tries to deliver.", labels=["outcome"], samples=outcomes)


def _reloads(reloads: ReloadRequests) -> Iterator[Metric]:
    counts = [([outcome], number) for outcome, number in reloads.outcomes.items()]
    yield _counter("busyd_reloads", "Reloads of the configuration.", labels=["outcome"], samples=counts)
    refused = reloads.last is not None and reloads.last.outcome == "refused"
    said = "0 when the last reload was refused."
    yield _gauge("busyd_config_last_reload_successful", said, labels=[], samples=[([], not refused)])


def _histogram(name: str, help_text: str, *, label: str, durations: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=[label])
    for value, counted in durations.items():
        family.add_metric([value], counted.buckets, round(counted.seconds, 6))
    return family


def _gauge(name: str, help_text: str, *, labels: Sequence[str], samples: _Samples) -> Metric:
    family = GaugeMetricFamily(name, help_text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, help_text: str, *, labels: Sequence[str], samples: _Samples) -> Metric:
    """`_total` is added to the name."""
    family = CounterMetricFamily(name, help_text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
