"""Four apps edit one calendar while its server fails: all converge, and no edit is lost without its app being told."""

import argparse
import asyncio
import base64
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from busyd.address import TcpAddress
from busyd.dav import names
from busyd.dav.errors import ServerFault, TooManyRequests
from busyd.dav.exchange import DavRequest, DavResponse
from busyd.dav.multistatus import Multistatus
from busyd.dav.request import CalendarMultiget, SyncCollection
from busyd.http.app import build_app
from busyd.http.listeners import start_listeners
from busyd.http.settings import EndpointSettings
from busyd.remote.errors import Trouble, Unreachable
from tests.http.caldav.conftest import HOME, event
from tests.http.caldav.remote import Remote
from tests.http.small_backend import NOW, SmallBackend

APPS: Final = 4
NAMES: Final = [f"{number}.ics" for number in range(12)]


@dataclass
class FailingRemote(Remote):
    """Fails before and after it has done what was asked, and does some of it late."""

    chance: Random = field(default_factory=Random)
    failures: float = 0.0
    history: set[tuple[str, bytes]] = field(default_factory=set)
    """All that was ever stored: path and bytes."""
    late: list[DavRequest] = field(default_factory=list)

    def put(self, path: str, payload: bytes) -> str:
        self.history.add((path, payload))
        return super().put(path, payload)

    def _answer(self, request: DavRequest) -> DavResponse:
        while self.late and self.chance.random() < 0.5:
            super()._answer(self.late.pop(0))
        if self.chance.random() >= self.failures:
            return super()._answer(request)
        match self.chance.randrange(6):
            case 0:
                raise Unreachable("anna.example", Trouble.REFUSED, sent=False)
            case 1:
                raise ServerFault("anna.example", 500)
            case 2:
                raise TooManyRequests("anna.example", retry_after="1")
            case 3 if request.method != "GET":
                self.late.append(request)
            case 4 | 5:
                super()._answer(request)
        raise Unreachable("anna.example", Trouble.RESET)

    def settle(self) -> None:
        """Fail no more, and do what is late."""
        self.failures = 0.0
        for request in self.late:
            super()._answer(request)
        self.late.clear()


@dataclass
class EditingApp:
    """Lives by the rules of DAVx5: what it deletes is gone for it whatever the answer, what it changes stays changed
    until the server has taken or refused it, and what it is told by a sync replaces what it has.
    """

    name: str
    session: aiohttp.ClientSession
    calendar: str
    headers: dict[str, str]
    chance: Random
    token: str | None = None
    known: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Name -> ETag and bytes, as the server had it last."""
    mine: dict[str, bytes] = field(default_factory=dict)
    """Name -> bytes that the server has not taken yet."""
    told: Counter[str] = field(default_factory=Counter)
    accepted: list[tuple[str, bytes]] = field(default_factory=list)
    """What the server has said to have taken."""

    @property
    def shown(self) -> dict[str, bytes]:
        return {name: payload for name, (_, payload) in self.known.items()} | self.mine

    async def edit(self, number: int) -> None:
        """Create, change or delete one event, for itself; then try to have the server know."""
        name = self.chance.choice(NAMES)
        if name in self.known and self.chance.random() < 0.3:
            await self._delete(name)
        else:
            self.mine[name] = event(name, f"SUMMARY:{self.name} {number}")
            await self.upload(name)

    async def upload(self, name: str) -> None:
        payload = self.mine[name]
        etag = self.known[name][0] if name in self.known else ""
        condition = {"If-Match": etag} if etag else {"If-None-Match": "*"}
        status, fields, _ = await self._ask("PUT", name, payload, **condition)
        self.told[f"PUT {status}"] += 1
        if status in (201, 204):
            del self.mine[name]
            self.known[name] = fields.get("ETag", ""), payload
            self.accepted.append((HOME + name, payload))
        elif status in (403, 409, 412):  # the person is told, and the event is read again
            del self.mine[name]
            self.known.pop(name, None)
        elif status != 503:
            message = f"a PUT was answered {status}"
            raise AssertionError(message)

    async def sync(self) -> None:
        """Upload what waits, then take whatever has changed."""
        for name in sorted(self.mine):
            await self.upload(name)
        status, _, body = await self._ask("REPORT", "", SyncCollection(self.token).to_xml())
        if status == 403:
            self.token, self.known = None, {}
            await self.sync()
            return
        assert status == 207, status
        found = Multistatus.from_xml(body)
        changed = []
        for row in found.responses:
            name = row.spelling.rpartition("/")[2]
            if row.status == 404:
                self.known.pop(name, None)
            elif self.known.get(name, ("",))[0] != row.text(names.GETETAG):
                changed.append(row.spelling)
        if changed:
            _, _, body = await self._ask("REPORT", "", CalendarMultiget(tuple(changed)).to_xml())
            for row in Multistatus.from_xml(body).responses:
                data, name = row.find(names.CALENDAR_DATA), row.spelling.rpartition("/")[2]
                if data is not None:
                    payload = data.text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
                    self.known[name] = row.text(names.GETETAG) or "", payload
        self.token = found.sync_token

    async def _delete(self, name: str) -> None:
        etag, _ = self.known.pop(name)
        self.mine.pop(name, None)
        fields = {"If-Match": etag} if etag else {}
        status, _, _ = await self._ask("DELETE", name, b"", **fields)
        self.told[f"DELETE {status}"] += 1

    async def _ask(self, method: str, name: str, body: bytes = b"", **fields: str) -> tuple[int, dict[str, str], bytes]:
        kind = "text/xml" if method == "REPORT" else "text/calendar; charset=utf-8"
        headers = {**self.headers, "Content-Type": kind, **fields}
        async with self.session.request(method, f"{self.calendar}{name}", data=body or None, headers=headers) as answer:
            return answer.status, dict(answer.headers), await answer.read()


def soak(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/soak editing-apps", description=__doc__)
    parser.add_argument("--edits", type=int, default=10_000, help="by all apps together (default: 10,000)")
    parser.add_argument("--failures", type=int, default=20, metavar="PERCENT", help="of the server (default: 20)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed does the same (default: 1)")
    wanted = parser.parse_args(arguments)
    began = time.monotonic()
    told = asyncio.run(edit_and_converge(wanted.edits, failures=wanted.failures / 100, seed=wanted.seed))
    for name, count in sorted(told.items()):
        print(f"{name}: {count}")
    print(f"seconds: {time.monotonic() - began:.0f}\nall apps and the server have the same; 0 edits lost untold")
    return 0


async def edit_and_converge(edits: int, *, failures: float, seed: int) -> Counter[str]:
    """What the apps were told. Raises AssertionError where something is lost, or not the same everywhere."""
    chance = Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        backend = SmallBackend(Path(folder))
        remote = FailingRemote(chance=chance, failures=failures)
        backend.schedules = {"anna": remote}
        await backend.store.record_listing("anna", [backend.state.calendars[1].remote], at=NOW)
        await backend.publish()
        endpoint = build_app(backend, EndpointSettings())
        listeners = await start_listeners(endpoint, [TcpAddress("127.0.0.1", 0)])
        try:
            async with aiohttp.ClientSession() as session:
                port = listeners.ports[0]
                apps = [await _app(backend, session, port=port, number=number, seed=seed) for number in range(APPS)]
                await _edit(apps, remote, backend, edits=edits, chance=chance)
        finally:
            await listeners.close(grace=1)
            backend.close()
    told: Counter[str] = Counter()
    for app in apps:
        told += app.told
    return told


async def _app(
    backend: SmallBackend, session: aiohttp.ClientSession, *, port: int, number: int, seed: int
) -> EditingApp:
    token = backend.token("anna", "freebusy", "details", "book")
    (collection,) = await backend.collections.of("anna")
    password = base64.b64encode(f"anna:{token}".encode()).decode()
    url = f"http://127.0.0.1:{port}/dav/anna/{collection.segment}/"
    return EditingApp(f"app{number}", session, url, {"Authorization": f"Basic {password}"}, Random(seed * 100 + number))


async def _edit(
    apps: Sequence[EditingApp], remote: FailingRemote, backend: SmallBackend, *, edits: int, chance: Random
) -> None:
    for number in range(edits):
        app = chance.choice(apps)
        if chance.random() < 0.3:
            await asyncio.gather(*(other.sync() for other in apps))
        await app.edit(number)
        if chance.random() < 0.02:
            await _poll(remote, backend)
    remote.settle()
    await _poll(remote, backend)
    for _ in range(3):
        for app in apps:
            await app.sync()
    there = {path.removeprefix(HOME): payload for path, (_, payload) in remote.objects.items()}
    for app in apps:
        assert app.shown == there, (app.name, sorted(app.shown.keys() ^ there.keys()))
        assert not app.mine
        untold = [name for name, payload in app.accepted if (name, payload) not in remote.history]
        assert untold == []


async def _poll(remote: FailingRemote, backend: SmallBackend) -> None:
    """The mirror has what the server has."""
    known = {member.name for member in await backend.collections.members((await backend.collections.of("anna"))[0])}
    for path, (etag, payload) in list(remote.objects.items()):
        await backend.store_object(1, path, payload, etag=etag)
    gone = [HOME + name for name in known if HOME + name not in remote.objects]
    await backend.store.transaction(lambda tx: tx.forget_objects(1, gone, at=NOW))
