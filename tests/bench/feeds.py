"""Goal 15: what a subscriber costs who has the feed already, with few feeds and with many, and what a new one costs."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from busyd.clock import SystemClock
from busyd.store.ledger import LEDGER_FILE, Ledger
from tests.bench.figures import Figure, ratio, spread
from tests.bench.many import ManyHousehold, Size, seed_many, until_known
from tests.bench.processes import Server
from tests.bench.seed import NOBODY
from tests.bench.workshop import Workshop, busyd

FEEDS = 500
SUBSCRIBERS = 10_000
SIZE = Size(connections=25, calendars=4, objects=100, profiles=FEEDS, idle=0)
"""Each profile counts four calendars with 400 objects together."""
_CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Subscription:
    """The address of a feed, and the tag of what its subscriber has of it."""

    path: str
    tag: str = ""


def measure_feeds(workshop: Workshop) -> list[Figure]:
    """Goal 15: 10,000 subscribers of 500 feeds; CPU of the server for each answer."""
    household = ManyHousehold(workshop.folder / "feeds")
    household.configure_many(SIZE, url=NOBODY)
    asyncio.run(seed_many(household, SIZE))
    feeds = [Subscription(f"/feeds/{token}.ics") for token in _make_tokens(household)]
    subscribers = SUBSCRIBERS // 5 if workshop.quick else SUBSCRIBERS
    few, many, again, restarted = [], [], [], []
    with busyd(household, settled=False) as daemon:
        asyncio.run(until_known(household, daemon, began=time.monotonic()))
        daemon.settle()
        cpu, known = _ask(daemon, feeds, count=FEEDS)
        first = cpu / FEEDS
        for _ in range(3):
            few.append(_ask(daemon, known[:1], count=subscribers)[0] / subscribers)
            many.append(_ask(daemon, known, count=subscribers)[0] / subscribers)
            again.append(_ask(daemon, feeds, count=subscribers)[0] / subscribers)
        memory = daemon.memory()
    with busyd(household) as daemon:
        restarted.append(_ask(daemon, known, count=FEEDS)[0] / FEEDS)
    for name, values in (("one feed", few), (f"{FEEDS} feeds", many), ("a 200 in place of a 304", again)):
        workshop.say(f"  {name}: {spread([value * 1000 for value in values], 'ms CPU an answer')}")
    workshop.say(f"  written for the first time: {first * 1000:.2f} ms CPU; {memory:.0f} MB with all of them")
    return [
        ratio(15, f"CPU of a 304, {FEEDS} feeds", values=[one * 1000 for one in many], at_most=0.4, unit=" ms"),
        ratio(15, "the same, of that of a single feed", values=[b / a for a, b in zip(few, many, strict=True)]),
        ratio(15, "CPU of the first 304 after a restart", values=[restarted[0] * 1000], at_most=4, unit=" ms"),
        ratio(15, "a feed sent again, of one written", values=[one / first for one in again], at_most=0.5),
    ]


def _make_tokens(household: ManyHousehold) -> list[str]:
    ledger = Ledger.open(household.state / LEDGER_FILE)
    try:
        now = SystemClock().now()
        return [
            ledger.add_token(f"p{number}", scopes=["freebusy"], details=False, expires=None, name="bench", now=now).text
            for number in range(FEEDS)
        ]
    finally:
        ledger.close()


def _ask(daemon: Server, feeds: Sequence[Subscription], *, count: int) -> tuple[float, list[Subscription]]:
    """CPU seconds of the server for so many questions, in turn, and what is known of each feed then."""
    before = daemon.cpu
    known = asyncio.run(_ask_all(daemon.port, list(islice(cycle(feeds), count))))
    return daemon.cpu - before, known[: len(feeds)]


async def _ask_all(port: int, questions: Sequence[Subscription]) -> list[Subscription]:
    """Ask as clients that take gzip do. Raises RuntimeError for a status that should not be."""
    known: list[Subscription] = list(questions)

    async def client(first: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(first, len(questions), _CONNECTIONS):
            known[number] = await _one(reader, writer, port, questions[number])
        writer.close()

    await asyncio.gather(*(client(first) for first in range(_CONNECTIONS)))
    return known


async def _one(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, question: Subscription
) -> Subscription:
    fields = f"Host: 127.0.0.1:{port}\r\nAccept-Encoding: gzip\r\n"
    fields += f"If-None-Match: {question.tag}\r\n" if question.tag else ""
    writer.write(f"GET {question.path} HTTP/1.1\r\n{fields}\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    tag, length = re.search(r"\r\nETag: ([^\r]+)", head), re.search(r"\r\nContent-Length: (\d+)", head)
    if not head.startswith(f"HTTP/1.1 {304 if question.tag else 200}") or tag is None:
        raise RuntimeError(head)
    if length is not None:
        await reader.readexactly(int(length[1]))
    return Subscription(question.path, tag[1])
