"""The pump carries a conversation out and lets everything through."""

import threading

import pytest

from busyd.dav.exchange import DavRequest, DavResponse, Operation
from busyd.remote.client import CaldavClient
from busyd.remote.errors import Trouble, Unreachable


class Echo:
    """Answers each request with its target as the body, `size` times over."""

    def __init__(self, size: int = 1) -> None:
        self.size = size

    async def send(self, request: DavRequest) -> DavResponse:
        if request.target == "/gone":
            raise Unreachable("example.org", Trouble.DNS)
        return DavResponse(200, request.target, body=request.target.encode() * self.size)


def conversation(*targets: str) -> Operation[tuple[list[bytes], set[int]]]:
    bodies: list[bytes] = []
    threads: set[int] = set()
    try:
        for target in targets:
            response = yield DavRequest("GET", target)
            bodies.append(response.body[:2])
            threads.add(threading.get_ident())
    finally:
        bodies.append(b"closed")
    return bodies, threads


async def test_answers_go_back_in_order_and_the_value_comes_out() -> None:
    bodies, threads = await CaldavClient(Echo()).run(conversation("/a", "/b"))
    assert bodies == [b"/a", b"/b", b"closed"]
    assert threads == {threading.get_ident()}


async def test_a_conversation_may_ask_nothing() -> None:
    assert (await CaldavClient(Echo()).run(conversation()))[0] == [b"closed"]


async def test_large_answers_are_read_off_the_loop() -> None:
    _, threads = await CaldavClient(Echo(200_000)).run(conversation("/a", "/b"))
    assert threading.get_ident() not in threads


async def test_an_error_of_the_network_comes_through_and_the_conversation_is_closed() -> None:
    running = conversation("/a", "/gone", "/c")
    with pytest.raises(Unreachable):
        await CaldavClient(Echo()).run(running)
    assert next(running, None) is None


async def test_an_error_of_the_conversation_comes_through_from_either_thread() -> None:
    def refuses() -> Operation[None]:
        yield DavRequest("GET", "/a")
        raise LookupError("not here")

    for size in (1, 100_000):
        with pytest.raises(LookupError, match="not here"):
            await CaldavClient(Echo(size)).run(refuses())
