"""Clients that mean no good, all against a port of this machine: `python -m tests.bench.attackers PORT SECONDS`.

A process of its own that gives way to everybody else, so that what a client beside it feels is the server and not the
load generator. At the end it prints as JSON how often they got which answer.
"""

import asyncio
import json
import os
import re
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Final

from tests.bench.load import PATH
from tests.bench.malformed import malformed_request

MALFORMED_A_SECOND: Final = 300
IDLE: Final = 1000
"""Connections that never say a word."""
TRICKLING: Final = 64
"""Slow-loris: connections that send a byte now and then."""
NOT_READING: Final = 16
"""Connections that ask for much and read nothing."""

_ALL_THERE_AFTER: Final = 2.0
"""Seconds over which the connections of each sort are opened."""
_AT_ONCE: Final = 192
"""Malformed requests under way."""
_TIMEOUT: Final = 1.5
"""Seconds until an answer to a malformed request must be there: a wrong token has to wait for one."""
_COMES_BACK_AFTER: Final = 5.0
"""Seconds until a connection that was refused or closed is opened again: what Retry-After says."""
_BYTE_EVERY: Final = 0.2
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d\d\d)[^\r]*\r\n((?:[^\r]+\r\n)*)")


class Attackers:
    """All of them, and what they were answered."""

    def __init__(self, port: int, seconds: float) -> None:
        self.malformed: Counter[str] = Counter()
        """The last status that each malformed request got -> how many; `none` where it was silence, as after half a
        request, `full` for the 503 with Retry-After of a connection that found no place."""
        self.others: Counter[str] = Counter()
        """The same of the connections that idle."""
        self._port = port
        self._host = f"127.0.0.1:{port}"
        self._until = time.monotonic() + seconds

    async def run(self) -> None:
        """Attack until the time is over."""
        tasks = [
            asyncio.create_task(one)
            for one in (
                self._send_malformed(),
                *(self._idle(number) for number in range(IDLE)),
                *(self._trickle(number) for number in range(TRICKLING)),
                *(self._never_read(number) for number in range(NOT_READING)),
            )
        ]
        await asyncio.sleep(self._until - time.monotonic())
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    async def _send_malformed(self) -> None:
        chance, places = Random(self._port), asyncio.Semaphore(_AT_ONCE)
        due = time.monotonic()

        async def send(request: bytes) -> None:
            async with places:
                self.malformed[_outcome(await self._ask(request))] += 1

        async with asyncio.TaskGroup() as under_way:
            while True:
                due += 1 / MALFORMED_A_SECOND
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                under_way.create_task(send(malformed_request(chance, self._host)))

    async def _ask(self, request: bytes) -> bytes:
        """All that comes back."""
        received = bytearray()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_TIMEOUT):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with _closing(writer):
                    writer.write(request)
                    while piece := await reader.read(65_536):
                        received += piece
        return bytes(received)

    async def _idle(self, number: int) -> None:
        await asyncio.sleep(_ALL_THERE_AFTER * number / IDLE)
        while True:
            with suppress(OSError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with _closing(writer):
                    self.others[_outcome(await reader.read())] += 1
            await asyncio.sleep(_COMES_BACK_AFTER)

    async def _trickle(self, number: int) -> None:
        await asyncio.sleep(_ALL_THERE_AFTER * number / TRICKLING)
        request = f"GET /healthz HTTP/1.1\r\nHost: {self._host}\r\nX: {'x' * 4000}".encode()
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                with _closing(writer):
                    for byte in request:
                        writer.write(bytes((byte,)))
                        await writer.drain()
                        await asyncio.sleep(_BYTE_EVERY)
            await asyncio.sleep(_COMES_BACK_AFTER)

    async def _never_read(self, number: int) -> None:
        await asyncio.sleep(_ALL_THERE_AFTER * number / NOT_READING)
        loop = asyncio.get_running_loop()
        request = f"GET {PATH}?start=-90d&end=%2B450d HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        while True:
            with suppress(OSError), socket.socket() as link:
                link.setblocking(False)
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                await loop.sock_connect(link, ("127.0.0.1", self._port))
                while True:  # until the server takes no more, then for as long as it bears with us
                    await loop.sock_sendall(link, request * 100)
            await asyncio.sleep(_COMES_BACK_AFTER)


def _outcome(received: bytes) -> str:
    found = _STATUS.findall(received)
    if not found:
        return "none"
    status, fields = found[-1]
    return "full" if status == b"503" and b"Retry-After:" in fields else str(int(status))


@contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    try:
        yield
    finally:
        writer.transport.abort()


def main() -> None:
    os.nice(10)
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * IDLE), hard))
    attackers = Attackers(int(sys.argv[1]), float(sys.argv[2]))
    asyncio.run(attackers.run())
    print(json.dumps({"malformed": attackers.malformed, "others": attackers.others}))


if __name__ == "__main__":
    main()
