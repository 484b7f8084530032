"""Goal 14: a daemon with many connections, calendars and profiles, from its start through idle polls to a reload."""

import asyncio
import json
import time
import urllib.request
from dataclasses import dataclass

from busyd.availability.index import PackedObject, index_object, pack_object
from busyd.clock import SystemClock
from busyd.config import load_config
from busyd.index.expansion import entry_of
from busyd.index.version import index_version
from busyd.period import Period
from busyd.state.horizon import horizon_at
from busyd.store.mirror import MIRROR_FILE, AccountRecord, StoredObject, SyncMark
from busyd.store.occurrences import ANY_ZONE
from busyd.store.store import Store
from busyd.store.transaction import Transaction
from tests.bench.figures import Figure, count
from tests.bench.processes import Server, waited
from tests.bench.seed import ENVIRONMENT, Household, listed
from tests.bench.steady import held_up
from tests.bench.syncing import running_stub
from tests.bench.workshop import Workshop, busyd
from tests.generate import generate_objects
from tests.ports import free_port

_CONNECTION = '  c{number}: {{kind: caldav, url: "{url}", username: anna, password: {{env: BENCH}}, poll: 60s}}\n'
_PROFILE = '  p{number}: {{timezone: Europe/Berlin, conflicts: ["c{connection}/*"], max_age: 1h}}\n'
_STEP = 0.5
"""Seconds between two looks at `/healthz`: few enough to cost nothing that counts."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many there are of what."""

    connections: int
    calendars: int
    """Of each connection."""
    objects: int
    """Of each calendar."""
    profiles: int
    """Each counts all calendars of one connection."""
    idle: int
    """Seconds of idle polls that are looked at."""


class ManyHousehold(Household):
    """A household of that size, whose connections all lead to the same server."""

    def configure_many(self, size: Size, *, url: str) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        connections = "".join(_CONNECTION.format(number=number, url=url) for number in range(size.connections))
        profiles = "".join(
            _PROFILE.format(number=number, connection=number % size.connections) for number in range(size.profiles)
        )
        self.config.write_text(f"listen: 127.0.0.1:{free_port()}\nconnections:\n{connections}profiles:\n{profiles}")


def measure_many(workshop: Workshop) -> list[Figure]:
    """Goal 14: 100 connections x 20 calendars x 400 objects and 1,000 profiles (a tenth of that with --quick)."""
    size = Size(30, 10, 50, 300, 6) if workshop.quick else Size(100, 20, 400, 1000, 60)
    household = ManyHousehold(workshop.folder / "many")
    stalls = workshop.folder / "stalls-many"
    with running_stub(size.calendars, 0) as stub:
        household.configure_many(size, url=f"http://127.0.0.1:{stub.port}/")
        asyncio.run(seed_many(household, size))
        began = time.monotonic()
        with busyd(household, "--stalls", str(stalls), settled=False) as daemon:
            seconds = asyncio.run(until_known(household, daemon, began=began))
            workshop.say(f"  complete after {seconds:.1f} s, {daemon.cpu:.1f} s CPU, {daemon.memory():.0f} MB")
            daemon.settle()
            used = daemon.cpu
            _ask(household, daemon, "/v1/reload", method="POST")
            reload = daemon.cpu - used
            asked = time.monotonic()
            answers = {path: _timed(household, daemon, path) for path in _PAGES}
            workshop.say("  " + ", ".join(f"{path} {seconds * 1000:.0f} ms" for path, seconds in answers.items()))
            memory = daemon.memory("VmHWM")
        # Without the watcher of stalls, which wakes up a thousand times a second: it would be most of what is measured.
        began = time.monotonic()
        with busyd(household, settled=False) as daemon:
            again = asyncio.run(until_known(household, daemon, began=began))
            workshop.say(f"  complete after {again:.1f} s when started again, {daemon.cpu:.1f} s CPU")
            _until_loaded(daemon)
            idle_since, used = time.monotonic(), daemon.cpu
            slow = _watch_health(daemon, size.idle)
            idle = (daemon.cpu - used) / (time.monotonic() - idle_since)
    start = max((cpu for _, cpu in held_up(stalls, 0)), default=0.0)
    late = max((cpu for _, cpu in held_up(stalls, asked)), default=0.0)
    return [
        count(14, "longest work of the loop in one piece, start to end", value=start, at_most=50, unit=" ms CPU"),
        count(14, "the same for /v1/status, /v1/profiles, /metrics", value=late, at_most=50, unit=" ms CPU"),
        count(14, "/healthz at the slowest while polls go on", value=slow * 1000, at_most=50, unit=" ms"),
        count(14, "from the start until every profile is complete", value=seconds, at_most=60, unit=" s"),
        count(14, "idle polls, of a core", value=idle * 100, at_most=5, unit=" %"),
        count(14, "reload of an unchanged file", value=reload, at_most=0.5, unit=" s CPU"),
        count(14, "memory at most", value=memory, unit=" MB"),
    ]


_PAGES = ("/v1/profiles", "/v1/status", "/v1/status?profile=p7", "/v1/status?connection=c7", "/metrics")


async def until_known(household: Household, daemon: Server, *, began: float) -> float:
    """Seconds until every profile could be answered for."""
    while True:
        told = await asyncio.to_thread(_ask, household, daemon, "/v1/profiles")
        states = [one["state"] for one in json.loads(told)["profiles"]]
        if all(state == "fresh" for state in states):
            return time.monotonic() - began
        await asyncio.sleep(0.5)


def _until_loaded(daemon: Server) -> None:
    """Wait until it has read its tables, which takes long where others have the processor."""
    used = 1.0
    while used > 0.3:
        before = daemon.cpu
        time.sleep(5)
        used = daemon.cpu - before


def _watch_health(daemon: Server, seconds: int) -> float:
    """The slowest of many looks at `/healthz`, in seconds, without those for which others had the processor."""
    slowest, until = 0.0, time.monotonic() + seconds
    while time.monotonic() < until:
        before, stolen = time.monotonic(), daemon.waited + waited()
        _get(f"http://127.0.0.1:{daemon.port}/healthz", "")
        took = time.monotonic() - before
        slowest = max(slowest, took - (daemon.waited + waited() - stolen))
        time.sleep(_STEP)
    return slowest


def _timed(household: Household, daemon: Server, path: str) -> float:
    before = time.monotonic()
    _ask(household, daemon, path)
    return time.monotonic() - before


def _ask(household: Household, daemon: Server, path: str, *, method: str = "GET") -> bytes:
    return _get(f"http://127.0.0.1:{daemon.port}{path}", household.admin_token(), method=method)


def _get(url: str, token: str, *, method: str = "GET") -> bytes:
    request = urllib.request.Request(url, b"" if method == "POST" else None, method=method)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=120) as answer:
        body: bytes = answer.read()
        return body


async def seed_many(household: Household, size: Size) -> None:
    """A mirror that a poll finds up to date, with the index of every calendar."""
    clock, config = SystemClock(), load_config(household.config, ENVIRONMENT)
    household.state.mkdir(parents=True, mode=0o700)
    now, horizon = clock.now(), horizon_at(clock.now())
    payloads = generate_objects(size.calendars * size.objects, 1)
    read = [pack_object(index_object(payload, horizon, zone="Europe/Berlin")) for payload in payloads]
    store = Store.open(household.state / MIRROR_FILE)
    for settings in config.connections.values():
        connection = settings.connection
        account = AccountRecord(
            connection=connection.name,
            root=connection.url,
            username=connection.username,
            principal="/anna/",
            homes=(f"{connection.url}anna/",),
            addresses=(),
            single=False,
            discovered=now,
        )

        def fill(tx: Transaction, account: AccountRecord = account) -> None:
            tx.record_account(account)
            tx.record_listing(account.connection, [listed(number) for number in range(size.calendars)], at=now)
            for place, record in enumerate(tx.read_calendars(account.connection)):
                _fill_calendar(tx, record.id, read=read[place :: size.calendars], horizon=horizon)
                tx.record_sync(record.id, SyncMark(ctag="1", sync_token="1", as_of=now, reconciled=now))
                tx.advance_generation(record.id)

        await store.transaction(fill)
    await store.transaction(lambda tx: tx.record_meta("index", index_version()))
    store.close()


def _fill_calendar(tx: Transaction, calendar: int, *, read: list[PackedObject], horizon: Period) -> None:
    entries = []
    for number, indexed in enumerate(read):
        stored = tx.put_object(calendar, StoredObject(f"/anna/{calendar}/{number}.ics", f'"{number}"', "", b""))
        zone = "Europe/Berlin" if indexed.zone_dependent else ANY_ZONE
        entries.append(entry_of(stored, zone, span=horizon, indexed=indexed))
    tx.put_entries(entries)
