"""Connections as such: how many, how long, and whom they are from."""

import asyncio
import gc
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import cast

import pytest

from busyd.http.farewell import Farewells
from busyd.http.listeners import ACCEPTED_AT_ONCE
from busyd.http.settings import Limits
from tests.http.conftest import Serve, Served
from tests.http.wire import exchange, read_answer

FEW = Limits(connections=6, reserve=2)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never came to be so")


@asynccontextmanager
async def idlers(served: Served, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """So many connections that say nothing, once they have been accepted."""
    pairs = [await asyncio.open_connection("127.0.0.1", served.port) for _ in range(count)]
    await until(lambda: sum(not one.served for one in served.endpoint.gate.open) == count)
    try:
        yield [reader for reader, _ in pairs]
    finally:
        for _, writer in pairs:
            writer.close()


def request(served: Served, *, token: str = "") -> str:
    login = f"Authorization: Bearer {token}\r\n" if token else ""
    return f"GET /v1/profiles/anna/freebusy HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n{login}\r\n"


def age(served: Served, seconds: float) -> None:
    """Make every open connection so much older."""
    for connection in served.endpoint.gate.open:
        connection.since -= seconds


async def test_when_all_places_are_taken_the_next_is_refused_at_once(serve: Serve) -> None:
    served = await serve(limits=FEW)
    async with idlers(served, 6):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        head = await reader.readuntil(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5" in head


async def test_a_burst_of_two_thousand_gets_an_answer_and_no_reset(serve: Serve) -> None:
    served = await serve(limits=FEW)
    gate = asyncio.Semaphore(200)  # clients that are connected at a time: this process has both ends

    async def ask() -> bytes:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
            writer.write(request(served).encode())
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            writer.close()
            return head.partition(b"\r\n")[0]

    async with idlers(served, 6):
        lines = await asyncio.gather(*(ask() for _ in range(2000)))
    assert {line[:12] for line in lines} <= {b"HTTP/1.1 503", b"HTTP/1.1 200", b"HTTP/1.1 401"}
    assert sum(line.startswith(b"HTTP/1.1 503") for line in lines) > 100


async def test_who_resets_while_being_refused_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    farewells, errors, client = Farewells(b"no"), list[object](), socket.socket()

    def reset() -> bool:
        """In the moment between the answer and the end of our half."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        return True

    class Refusing(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            monkeypatch.setattr(transport, "can_write_eof", reset)
            made.set_result(cast(asyncio.Transport, transport))
            farewells.begin(made.result())

    loop = asyncio.get_running_loop()
    made: asyncio.Future[asyncio.Transport] = loop.create_future()
    loop.set_exception_handler(lambda _, context: errors.append(context))
    async with await loop.create_server(Refusing, "127.0.0.1", 0) as server:
        client.connect(server.sockets[0].getsockname())
        await asyncio.wait_for(made, 60)
        await until(lambda: made.result().is_closing() or bool(errors))
    assert errors == []


async def test_an_idle_connection_is_closed_in_favour_of_a_new_one(serve: Serve) -> None:
    served = await serve(limits=FEW)
    async with idlers(served, 6):
        age(served, 2)
        status, _ = await exchange(served.port, request(served))
    assert (status, served.endpoint.gate.refused) == (200, 0)


async def test_the_last_places_are_for_tokens_that_were_used_before(serve: Serve) -> None:
    served = await serve(limits=FEW)
    known, fresh = served.backend.token("anna"), served.backend.token("anna")
    assert (await exchange(served.port, request(served, token=known)))[0] == 200
    async with idlers(served, 4):
        assert (await exchange(served.port, request(served)))[0] == 503
        assert (await exchange(served.port, request(served, token=fresh)))[0] == 503
        assert (await exchange(served.port, request(served, token=known)))[0] == 200


async def test_closed_connections_leave_nothing_to_the_garbage_collector(serve: Serve) -> None:
    served = await serve(limits=FEW)
    gate = served.endpoint.gate
    gc.collect()
    gc.disable()
    try:
        before = transports()
        clients = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(8)]
        await until(lambda: (len(gate.open), gate.refused) == (6, 2))
        for client in clients:
            client.close()
        await until(lambda: not gate.open)
        for _ in range(10):
            await asyncio.sleep(0)
        assert transports() == before
    finally:
        gc.enable()


def transports() -> int:
    """How many there are in this process."""
    return sum(isinstance(one, asyncio.Transport) for one in gc.get_objects())


async def test_newcomers_are_let_in_a_few_at_a_time(served: Served) -> None:
    newcomers = [socket.socket() for _ in range(100)]
    for one in newcomers:
        one.setblocking(False)
        one.connect_ex(("127.0.0.1", served.port))
    counts = [0]

    def all_are_in() -> bool:
        counts.append(len(served.endpoint.gate.open))
        return counts[-1] == len(newcomers)

    await until(all_are_in)
    assert max(after - before for before, after in pairwise(counts)) <= ACCEPTED_AT_ONCE
    for one in newcomers:
        one.close()


async def test_who_sends_no_request_in_time_is_dropped(serve: Serve) -> None:
    served = await serve()
    async with idlers(served, 2) as readers:
        served.endpoint.gate.sweep()
        assert len(served.endpoint.gate.open) == 2
        age(served, 11)
        served.endpoint.gate.sweep()
        assert not served.endpoint.gate.open
        assert await readers[0].read() == b""


async def test_nobody_is_woken_up_where_there_is_no_connection(serve: Serve) -> None:
    served = await serve()
    gate = served.endpoint.gate
    async with idlers(served, 1):
        assert gate._timer is not None
        gate.sweep()
        assert gate.open
        age(served, 11)
        gate._sweep_again()
        assert not gate.open
    assert gate._timer is None


async def test_half_a_request_is_no_request(serve: Serve) -> None:
    served = await serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127")
    await writer.drain()
    await until(lambda: bool(served.endpoint.gate.open))
    age(served, 11)
    served.endpoint.gate.sweep()
    with pytest.raises(ConnectionError):
        await reader.read()
    writer.close()


async def test_one_connection_carries_many_requests_in_order(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write((request(served) * 3).encode() + request(served).replace("anna", "ghost").encode())
    assert [(await read_answer(reader))[0] for _ in range(4)] == [200, 200, 200, 404]
    writer.close()


async def test_who_asks_and_does_not_read_is_not_answered_until_it_does(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, limit=1024)
    await until(lambda: bool(served.endpoint.gate.open))
    [connection] = served.endpoint.gate.open
    transport = connection.transport
    assert transport is not None
    end, questions = transport.get_extra_info("socket"), 1000
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    writer.write(request(served).encode() * questions)
    await until(lambda: transport.get_write_buffer_size() > 64 * 1024)
    for _ in range(1000):
        await asyncio.sleep(0)
        assert transport.get_write_buffer_size() < 2 * 64 * 1024
    assert connection.served < questions
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024 * 1024)
    assert [(await read_answer(reader))[0] for _ in range(questions)] == [200] * questions
    writer.close()


@pytest.mark.parametrize("line", ["Connection: close\r\n", ""])
async def test_a_client_that_wants_to_hang_up_is_let_go(served: Served, line: str) -> None:
    version = "1.1" if line else "1.0"
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
        text = request(served).replace("HTTP/1.1\r\n", f"HTTP/{version}\r\n{line}")
        writer.write(text.encode())
        body = await reader.read()
        assert b" 200 OK\r\n" in body
        assert body.endswith(b"}\n")
        writer.close()


async def test_closing_lets_an_answer_finish(served: Served) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    refresh, port, hello = served.backend.refresh, served.port, request(served)

    async def slow(profile: str, max_age: timedelta) -> bool:
        asked.set()
        await go_on.wait()
        return await refresh(profile, max_age)

    served.backend.refresh = slow  # type: ignore[method-assign]
    served.backend.clock.advance(60)
    answer = asyncio.ensure_future(served.ask("/v1/profiles/anna/freebusy?max_age=1s"))
    await asked.wait()
    closing = asyncio.ensure_future(served.listeners.close(grace=5))
    await asyncio.sleep(0)
    go_on.set()
    assert (await answer).status == 200
    await closing
    with pytest.raises(ConnectionError):
        await exchange(port, hello)


async def test_behind_a_proxy_the_forwarded_client_is_the_one_that_guesses(serve: Serve) -> None:
    served = await serve(behind_proxy=True)
    await served.ask("/v1/profiles", token="wrong", X_Forwarded_For="10.0.0.1, 192.0.2.7")
    assert list(served.endpoint.auth.wrong) == ["192.0.2.7"]


async def test_a_peer_elsewhere_cannot_name_another_client(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("busyd.http.connections.is_loopback", lambda _: False)
    served = await serve(behind_proxy=True)
    for number in range(2):
        await served.ask("/v1/profiles", token="wrong", X_Forwarded_For=f"192.0.2.{number}")
    assert list(served.endpoint.auth.wrong) == ["127.0.0.1"]
