"""A served backend on a free port of the loopback address, and a client that speaks to it as curl would."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from busyd.address import TcpAddress
from busyd.http.app import Endpoint, build_app
from busyd.http.listeners import Listeners, start_listeners
from busyd.http.settings import EndpointSettings
from tests.http.small_backend import NOW, SmallBackend, busy


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        import msgspec

        return msgspec.json.decode(self.body)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def error(self) -> str:
        """The name of the problem."""
        assert self.headers["Content-Type"] == "application/problem+json"
        assert self.json["fix"], "a problem that leaves its reader alone"
        kind: str = self.json["type"]
        assert kind.startswith("https://busyd.invalid/errors/")
        return kind.rpartition("/")[2]


@dataclass
class Served:
    """A backend on the air."""

    backend: SmallBackend
    endpoint: Endpoint
    listeners: Listeners
    session: aiohttp.ClientSession
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.listeners.ports[0]

    async def ask(
        self, path: str, *, method: str = "GET", token: str = "", body: object = None, **fields: str
    ) -> Answer:
        """One request; keyword names become header names, `_` freshness for `-`."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.session.request(method, url, headers=headers, json=body, allow_redirects=False) as response:
            return Answer(response.status, response.headers, await response.read())


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve(tmp_path: Path) -> AsyncIterator[Serve]:
    """Puts a backend on the air; everything is taken down at the end."""
    async with serving(tmp_path) as start:
        yield start


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Serve]:
    """The same, for fixtures on another event loop."""
    running: list[Served] = []

    async def start(backend: SmallBackend | None = None, **settings: Any) -> Served:
        if backend is None:
            backend = SmallBackend(tmp_path)
            await backend.set_busy("anna", [busy(21), busy(24, 2)])
            await backend.set_busy("bob", [busy(30)])
        endpoint = build_app(backend, EndpointSettings(**settings))
        listeners = await start_listeners(endpoint, [TcpAddress("127.0.0.1", 0)])
        session = aiohttp.ClientSession(auto_decompress=False, skip_auto_headers=["Accept-Encoding", "User-Agent"])
        running.append(Served(backend, endpoint, listeners, session))
        return running[-1]

    yield start
    for served in running:
        await served.session.close()
        await served.listeners.close(grace=1)
        served.backend.close()


@pytest.fixture
def backend(tmp_path: Path) -> SmallBackend:
    """A backend whose calendars were never read."""
    return SmallBackend(tmp_path)


@pytest.fixture
async def served(serve: Serve) -> Served:
    """A backend where anna is busy on Tuesday at 9:00-10:00 and 12:00-14:00 UTC, and nothing is stale."""
    found = await serve()
    assert found.backend.clock.now() == NOW
    return found
