"""Load on a server: wrk where Debian's package is installed, else a client of our own on raw sockets.

The server's CPU time per request is what counts, so a slow client costs accuracy of nothing but the time it takes.
"""

import asyncio
import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

from busyd.clock import SystemClock
from busyd.state.horizon import horizon_at
from tests.bench.processes import LOAD_CORE, Server, put_on_core

_RANDOM_WINDOWS: Final = """
math.randomseed({seed})
local iso, ready, last = "!%Y-%m-%dT%H:%M:%SZ", {{}}, 0
init = function()
  for number = 1, {ready} do
    local start = math.random({first}, {last})
    local window = "?start=" .. os.date(iso, start) .. "&end=" .. os.date(iso, start + {width})
    ready[number] = wrk.format("GET", "{path}" .. window)
  end
end
request = function()
  last = last % {ready} + 1
  return ready[last]
end
"""
_READY: Final = 30_000
"""Questions written before the first is sent: what takes the client long gives the server time to sleep between two."""
PATH: Final = "/v1/profiles/anna/freebusy"


@dataclass(frozen=True, slots=True)
class Questions:
    """Which windows are asked for."""

    width: int = 7 * 86_400
    """Seconds."""
    repeated: bool = False
    """One and the same window; otherwise each begins at another second of the horizon."""

    def path(self, chance: Random) -> str:
        """One question."""
        first, last = self.range()
        return question(first + 86_400 if self.repeated else chance.randrange(first, last), self.width)

    def range(self) -> tuple[int, int]:
        """The first and last second at which a window may begin."""
        horizon = horizon_at(SystemClock().now())
        return horizon.start, horizon.end - self.width


def question(start: int, width: int) -> str:
    """The path of one question."""
    begin, end = (datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in (start, start + width))
    return f"{PATH}?start={begin}&end={end}"


@dataclass(frozen=True, slots=True)
class Load:
    """What one round did."""

    requests: int
    seconds: float
    cpu: float
    """Seconds of CPU that the server used."""

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    @property
    def cpu_each(self) -> float:
        """Microseconds of the server's CPU for a request."""
        return self.cpu / self.requests * 1e6


def load(
    server: Server,
    questions: Questions,
    *,
    seconds: float,
    clients: int = 8,
    token: str = "",
    seed: int = 1,
    core: int = LOAD_CORE,
) -> Load:
    """Ask as fast as the server answers, from a core. Raises RuntimeError when an answer is not a 200."""
    before, began = server.cpu, time.monotonic()
    if shutil.which("wrk"):
        requests = _wrk(server.port, questions, seconds=seconds, clients=clients, token=token, seed=seed, core=core)
    else:
        requests = asyncio.run(
            _ask_in_turn(server.port, questions, seconds=seconds, clients=clients, token=token, seed=seed)
        )
    return Load(requests, time.monotonic() - began, server.cpu - before)


def _wrk(port: int, questions: Questions, *, seconds: float, clients: int, token: str, seed: int, core: int) -> int:
    line = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s"]
    if token:
        line += ["-H", f"Authorization: Bearer {token}"]
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        path = questions.path(Random(seed))
        if not questions.repeated:
            first, last = questions.range()
            text = _RANDOM_WINDOWS.format(
                seed=seed, first=first, last=last, width=questions.width, path=PATH, ready=_READY
            )
            script.write(text)
            script.flush()
            line += ["-s", script.name]
        wrk = subprocess.Popen([*line, f"http://127.0.0.1:{port}{path}"], stdout=subprocess.PIPE, text=True)
        put_on_core(wrk.pid, core)
        told = wrk.communicate()[0]
    found = re.search(r"(\d+) requests in", told)
    if found is None or "Non-2xx" in told or "Socket errors" in told:
        message = f"the load generator says:\n{told}"
        raise RuntimeError(message)
    return int(found[1])


async def _ask_in_turn(port: int, questions: Questions, *, seconds: float, clients: int, token: str, seed: int) -> int:
    until = time.monotonic() + seconds

    async def client(number: int) -> int:
        chance, asked = Random(seed * 1000 + number), 0
        connection = await Connection.open(port, token)
        while time.monotonic() < until:
            await connection.get(questions.path(chance))
            asked += 1
        connection.close()
        return asked

    return sum(await asyncio.gather(*(client(number) for number in range(clients))))


class Connection:
    """A keep-alive connection: as little work as a client can do."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, token: str) -> None:
        self._reader = reader
        self._writer = writer
        self._fields = f"Host: 127.0.0.1:{writer.get_extra_info('peername')[1]}\r\n"
        if token:
            self._fields += f"Authorization: Bearer {token}\r\n"

    @classmethod
    async def open(cls, port: int, token: str = "") -> "Connection":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        return cls(reader, writer, token=token)

    async def get(self, path: str) -> bytes:
        """The body of a 200. Raises RuntimeError for anything else."""
        return await self.ask("GET", path, status=200)

    async def ask(self, method: str, path: str, body: bytes = b"", *, status: int, depth: int = 0) -> bytes:
        """The body of an answer with this status. Raises RuntimeError for any other, and for one in pieces."""
        length = f"Content-Length: {len(body)}\r\nDepth: {depth}\r\n" if body else ""
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{self._fields}{length}\r\n".encode() + body)
        head = await self._reader.readuntil(b"\r\n\r\n")
        found = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
        if not head.startswith(f"HTTP/1.1 {status}".encode()) or found is None:
            raise RuntimeError(head.decode())
        return await self._reader.readexactly(int(found[1]))

    def close(self) -> None:
        self._writer.close()


async def ask_once(port: int, path: str, *, token: str = "") -> bytes:
    """One question on a connection of its own."""
    connection = await Connection.open(port, token)
    try:
        return await connection.get(path)
    finally:
        connection.close()
